//! The machine that has booted: v86 starts the kernel under node, and its memory is saved. Resuming it takes a third of a
//! second, booting several.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::digest::Inputs;
use crate::inputs::Pinned;
use crate::kernel::Kernel;
use crate::npm;
use crate::place::Place;
use crate::running::{need, run};
use crate::scripts::scripts;
use crate::sources::experiments;
use crate::step::step;
use crate::toolchain::packages;

/// A saved machine, and what resumes it.
pub struct State {
    /// The machine's state, packed by gzip.
    pub file: PathBuf,
    /// The folder with `libv86.mjs` and `v86.wasm`.
    pub v86: PathBuf,
    /// The version of v86, which alone can resume it.
    pub version: String,
    /// What it was made of.
    pub digest: String,
}

/// Boot the kernel, and save the machine.
///
/// # Errors
/// When v86 or the BIOS cannot be had, or the machine does not start.
pub fn state(place: &Place, kernel: &Kernel) -> Result<State> {
    need("starting the machine", &[("node", "nodejs")])?;
    let pinned = Pinned::read(place)?;
    let package = pinned.named("v86")?;
    let bios = packages(place, &pinned, "bios")?.join("usr/share/seabios");
    let v86 = place.work.join("unpacked/v86/build");
    let mut inputs = Inputs::default();
    inputs.text(&package.sha256);
    step(place, "v86", &inputs, &v86, |_| npm::unpacked(place, package).map(drop))?;
    pinned.of("bios").for_each(|package| {
        inputs.text(&package.sha256);
    });
    let scripts = scripts(place)?;
    for name in ["save.mjs", "machine.mjs", "emulator.mjs"] {
        inputs.file(&scripts.join(name))?;
    }
    inputs.file(&kernel.image)?;
    let file = place.folder("state")?.join("state.bin");
    let digest = step(place, "state", &inputs, &file, |log| {
        let all = experiments(place)?;
        let first = &all.first().context("there is no experiment")?.name;
        let mut node = Command::new("node");
        node.arg(scripts.join("save.mjs")).args([&v86, &bios, &kernel.image]).arg(first).arg(&file);
        run("the machine's first start", log, &mut node)
    })?;
    Ok(State { file, v86, version: package.version.clone(), digest })
}
