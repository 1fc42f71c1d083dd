//! `--pin`: name the versions that can be had today in `inputs.toml`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::{Apt, described};
use crate::digest::sha256;
use crate::inputs::{Package, Pinned};
use crate::npm;
use crate::place::Place;
use crate::running::{output, say};

const HEAD: &str = "# What the machine is built from. `just machine --pin` writes this file anew.\n\n";

/// Write `inputs.toml` anew: the same packages, their newest versions.
///
/// # Errors
/// When a package cannot be had.
pub fn pin(place: &Place) -> Result<()> {
    let mut pinned = Pinned::read(place)?;
    let all = pinned.debian.clone();
    let apt = Apt::set_up(place, all.iter())?;
    apt.update()?;
    for package in &mut pinned.debian {
        let version = apt.newest(package)?;
        if package.architecture == "source" {
            let folder = apt.download_source(package, &version)?;
            (package.sha256, package.version) = (sha256(&described(&folder)?)?, version);
        } else {
            newer(place, package, version, |package, version| apt.download(package, version))?;
        }
    }
    for package in &mut pinned.npm {
        let version = output(Command::new("npm").args(["view", &package.name, "version"]))?.trim().to_owned();
        newer(place, package, version, |package, version| npm::download(place, package, version))?;
    }
    let path = place.source("inputs.toml");
    let text = toml::to_string(&pinned)?;
    fs::write(&path, format!("{HEAD}{text}")).with_context(|| format!("cannot write {}", path.display()))
}

fn newer(
    place: &Place,
    package: &mut Package,
    version: String,
    download: impl FnOnce(&Package, &str) -> Result<PathBuf>,
) -> Result<()> {
    if version == package.version && package.is_here(place)? {
        return Ok(());
    }
    let fetched = download(package, &version)?;
    let sha256 = sha256(&fetched)?;
    if sha256 != package.sha256 {
        say(&format!("{}: {} is now {version}", package.name, package.version));
    }
    (package.version, package.sha256) = (version, sha256);
    package.accept(place, &fetched).map(drop)
}
