//! loom for 32-bit x86: its atomics of 64 bits are there only where pointers have as many, and its list of them names them
//! everywhere. The tests of four exercises run models with it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::digest::files;
use crate::place::Place;
use crate::running::output;

/// The file with the list of atomics.
const FILE: &str = "src/sync/atomic/int.rs";
/// What stands before those of 64 bits.
const ONLY: &str = "#[cfg(target_pointer_width = \"64\")]\n";

/// Its files, with the atomics of 64 bits on every machine that has them.
///
/// # Errors
/// When cargo does not say where it is, or it is another version than was known.
pub fn sources(place: &Place) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = folder(place)?;
    let others = ["Cargo.toml", "LICENSE"].map(|name| folder.join(name));
    let mut found = Vec::new();
    for file in files(&folder.join("src"))?.into_iter().chain(others) {
        let name = file.strip_prefix(&folder)?.to_string_lossy().into_owned();
        let mut text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if name == FILE {
            let whole = String::from_utf8(text)?;
            ensure!(whole.contains(ONLY), "loom's {FILE} is another one than was known");
            text = whole.replace(ONLY, "").into_bytes();
        }
        found.push((name, text));
    }
    Ok(found)
}

/// Where cargo has put its sources.
fn folder(place: &Place) -> Result<PathBuf> {
    let mut metadata = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    metadata.current_dir(&place.root).args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&output(&mut metadata)?)?;
    let found = metadata["packages"].as_array().into_iter().flatten().find(|one| one["name"] == "loom");
    let manifest = found.and_then(|one| one["manifest_path"].as_str()).map(PathBuf::from);
    manifest.and_then(|path| path.parent().map(PathBuf::from)).context("cargo knows no loom")
}
