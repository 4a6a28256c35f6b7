//! Tests of the protocol as a whole: published vectors and our own, attacks, boundaries, and bugs
//! that must not come back. Tests of a single file are in that file.

mod attacks;
mod boundaries;
mod forgetting;
mod made_vectors;
mod primitives;
mod publication;
mod regressions;
pub(crate) mod support;
pub(crate) mod vectors;
