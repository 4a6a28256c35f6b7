//! The check of a secret between two ends that lose, reorder, cross and cheat.
