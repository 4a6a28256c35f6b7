//! Tests of the protocol as a whole: published vectors and our own, attacks, boundaries, and bugs that
//! are not to come back. Tests of one file stand in that file.

mod attacks;
mod boundaries;
mod forgetting;
mod made_vectors;
mod primitives;
mod publication;
mod regressions;
pub(crate) mod support;
mod vectors;
