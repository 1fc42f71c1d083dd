//! `kernels/why.toml`: the sentences that say why something is skipped on a kernel, or differs there.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::place::{Place, read as text};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    row: Vec<Sentence>,
}

/// A sentence on one experiment, or on one program of tests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// `close-by-hand`, or `cloexec/flags`.
    name: String,
    /// The series of kernels that it is about: all, if there are none.
    #[serde(default)]
    kernels: Vec<String>,
    /// For the reader of the table.
    sentence: String,
}

/// Read it.
///
/// # Errors
/// When it cannot be read, or is not as described here.
pub fn read(place: &Place) -> Result<Vec<Sentence>> {
    let path = place.source("kernels/why.toml");
    let file =
        toml::from_str(&text(&path)?).with_context(|| format!("{} cannot be understood", path.display()));
    file.map(|file: File| file.row)
}

/// The sentence on this experiment or these tests on this kernel.
pub fn on<'a>(sentences: &'a [Sentence], name: &str, kernel: &str) -> Option<&'a str> {
    let fits = |one: &&Sentence| {
        one.name == name && (one.kernels.is_empty() || one.kernels.iter().any(|k| k == kernel))
    };
    sentences.iter().find(fits).map(|one| one.sentence.as_str())
}
