//! One edit.

use serde::Serialize;

/// Bytes of a source, and what stands in their place in the mutant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edit {
    /// The function, the constant or the static that it changes.
    pub function: String,
    pub start: usize,
    pub end: usize,
    pub text: String,
}
