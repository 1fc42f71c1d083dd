//! Where an exercise is built.

use std::path::PathBuf;

/// A checkout to build in: the reader's, or a copy with a target folder of its own.
pub struct Place {
    pub root: PathBuf,
    pub target: Option<PathBuf>,
    /// A number that stays the same as long as nothing changes but the reader's file.
    pub unchanged: u64,
}
