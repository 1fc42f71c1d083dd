//! `target/machine/site`: what a page loads, and what its reader may ask for: the sources of what is in it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::catch;
use crate::kernel::Kernel;
use crate::notices::{copy, notices};
use crate::place::{Place, write};
use crate::state::State;
use crate::trying::{Found, Outcome};

/// The memory of the machine, in MiB: as in `page/emulator.mjs`.
const MEMORY: u32 = 64;

/// Put it together.
///
/// # Errors
/// When a file is not there.
pub fn site(
    place: &Place,
    kernel: &Kernel,
    state: &State,
    found: &Found,
    wrong: &[catch::Program],
    strace: &Path,
) -> Result<PathBuf> {
    let site = place.folder("site")?;
    notices(place, &site)?;
    for name in ["libv86.mjs", "v86.wasm"] {
        copy(&state.v86.join(name), &site.join(name))?;
    }
    copy(&state.file, &site.join("state.bin"))?;
    copy(strace, &site.join("strace"))?;
    let described = json!({
        "kernel": kernel.version,
        "v86": state.version,
        "memory": MEMORY,
        "state": "state.bin",
        "strace": "strace",
        "experiments": asked(found),
        "exercises": catch::site(place, wrong)?,
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
