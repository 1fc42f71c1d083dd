//! Packages of npm, fetched with npm's own configuration and unpacked below `target`. No script of theirs is run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::inputs::{Package, gone};
use crate::place::Place;
use crate::running::{need, output, say};

/// Fetch a package, if it is not here, and unpack it. Gives its folder.
///
/// # Errors
/// When npm is not installed or has not this version, or its content is not what is pinned.
pub fn unpacked(place: &Place, package: &Package) -> Result<PathBuf> {
    let file = if package.is_here(place)? {
        package.file(place)?
    } else {
        let fetched = download(place, package, &package.version).with_context(|| gone(package))?;
        package.accept(place, &fetched)?
    };
    let folder = place.work.join("unpacked").join(&package.part);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    output(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&folder).arg("--strip-components=1"))?;
    Ok(folder)
}

/// Download a version of a package, whatever its content.
///
/// # Errors
/// When that fails.
pub fn download(place: &Place, package: &Package, version: &str) -> Result<PathBuf> {
    need("fetching packages", &[("npm", "npm"), ("node", "nodejs")])?;
    say(&format!("fetching {}", package.label()));
    let folder = place.folder("fetched/partial")?;
    let wanted = format!("{}@{version}", package.name);
    let name = output(Command::new("npm").current_dir(&folder).args([
        "pack",
        "--silent",
        "--ignore-scripts",
        &wanted,
    ]))?;
    Ok(folder.join(name.lines().last().context("npm has downloaded nothing")?.trim()))
}
