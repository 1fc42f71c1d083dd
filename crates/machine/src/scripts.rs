//! The scripts that node runs, together in one folder: ours, and the book's, which runs the same machine in a page.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::digest::files;
use crate::place::{Place, write};

/// The page's script, and the name under which node takes it for a module.
const OF_THE_PAGE: (&str, &str) = ("book/src/live/machine.js", "machine.mjs");

/// Put them there. Gives the folder.
///
/// # Errors
/// When a file cannot be read or written.
pub fn scripts(place: &Place) -> Result<PathBuf> {
    let folder = place.folder("scripts")?;
    for script in files(&place.source("page"))? {
        write(&folder.join(script.file_name().context("no name")?), &fs::read(&script)?)?;
    }
    let (from, to) = OF_THE_PAGE;
    let from = place.root.join(from);
    let script = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    write(&folder.join(to), &script)?;
    Ok(folder)
}
