//! A part of the machine: made when its inputs have changed, and left alone when they have not.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::digest::Inputs;
use crate::place::{Place, write};
use crate::running::say;

/// Make the part called `name`, unless it was made of the same inputs before and the file or folder `part` is there. `make` gets
/// the file for the output of other programs.
///
/// The mark is written last, so a part that was interrupted is made again.
///
/// # Errors
/// Those of `make`.
pub fn step(
    place: &Place,
    name: &str,
    inputs: &Inputs,
    part: &Path,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<String> {
    let digest = inputs.finish()?;
    let mark = place.folder("made")?.join(name);
    if fs::read_to_string(&mark).is_ok_and(|made| made == digest) && part.exists() {
        say(&format!("{name}: up to date"));
        return Ok(digest);
    }
    let _ = fs::remove_file(&mark);
    let log = place.folder("log")?.join(format!("{name}.txt"));
    let _ = fs::remove_file(&log);
    say(&format!("{name}:"));
    make(&log).with_context(|| format!("{name} cannot be made"))?;
    ensure!(part.exists(), "{name} was made, and {} is not there", part.display());
    write(&mark, digest.as_bytes())?;
    Ok(digest)
}
