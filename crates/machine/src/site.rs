//! `target/machine/site`: what a page loads, and what its reader may ask for: the sources of what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::debian::Apt;
use crate::digest::{files, sha256};
use crate::inputs::Pinned;
use crate::kernel::Kernel;
use crate::place::{Place, write};
use crate::state::State;
use crate::trying::{Found, Outcome};

/// The memory of the machine, in MiB: as in `page/emulator.mjs`.
const MEMORY: u32 = 64;

/// Put it together.
///
/// # Errors
/// When a file is not there.
pub fn site(place: &Place, kernel: &Kernel, state: &State, found: &Found) -> Result<PathBuf> {
    let site = place.folder("site")?;
    sources(place, &site)?;
    for name in ["libv86.mjs", "v86.wasm"] {
        copy(&state.v86.join(name), &site.join(name))?;
    }
    copy(&state.file, &site.join("state.bin"))?;
    let described = json!({
        "kernel": kernel.version,
        "v86": state.version,
        "memory": MEMORY,
        "state": {
            "file": "state.bin",
            "bytes": fs::metadata(&state.file)?.len(),
            "sha256": sha256(&state.file)?,
        },
        "experiments": asked(found),
    });
    write(&site.join("machine.json"), format!("{described:#}\n").as_bytes())?;
    Ok(site)
}

/// Which experiments can be asked there, and why the others cannot.
fn asked(found: &Found) -> Value {
    let said = |outcomes: &Vec<Outcome>| {
        let why = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Skipped(why) => Some(why),
            _ => None,
        });
        why.map_or_else(|| json!({ "asked": true }), |why| json!({ "asked": false, "why": why }))
    };
    found.iter().map(|(name, outcomes)| (name.clone(), said(outcomes))).collect::<Map<_, _>>().into()
}

/// Beside the programs, what their licenses ask for: the sources, the configuration, and the scripts that build them.
fn sources(place: &Place, site: &Path) -> Result<()> {
    let pinned = Pinned::read(place)?;
    let apt = Apt::set_up(place, pinned.debian.iter())?;
    let mut wanted = vec![place.source("inputs.toml"), place.source("kernel.config")];
    wanted.push(apt.fetch(pinned.named("linux-source-6.12")?)?);
    for package in pinned.of("sources") {
        wanted.extend(files(&apt.fetch_source(package)?)?);
    }
    let folder = site.join("sources");
    let _ = fs::remove_dir_all(&folder);
    for file in wanted {
        copy(&file, &folder.join(file.file_name().context("no name")?))?;
    }
    let list = files(&folder)?;
    let names = list.iter().filter_map(|file| Some(format!("{}\n", file.file_name()?.to_string_lossy())));
    write(&folder.join("list.txt"), names.collect::<String>().as_bytes())
}

/// A hard link, because some of these files are large; a copy where that cannot be.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let _ = fs::remove_file(to);
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))
}
