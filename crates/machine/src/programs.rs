//! All experiments and the guest's first process as one static program, for one kind of processor.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::digest::Inputs;
use crate::inputs::Pinned;
use crate::place::Place;
use crate::processor::Processor;
use crate::running::{output, run};
use crate::sources;
use crate::step::step;
use crate::toolchain::{Toolchain, toolchain};

/// The program that was built.
pub struct Programs {
    /// The file. It runs an experiment if it is started by that name.
    pub file: PathBuf,
}

/// Build it.
///
/// # Errors
/// When the toolchain cannot be had, or cargo fails.
pub fn programs(place: &Place, processor: Processor) -> Result<Programs> {
    let toolchain = toolchain(place, processor)?;
    let part = processor.part();
    let folder = place.folder(part)?;
    let copy = place.folder("programs")?.join("checkout");
    sources::copy(place, &copy)?;
    let mut inputs = Inputs::default();
    let flags = flags(&toolchain, &copy);
    let own = |flag: &String| !flag.starts_with("--remap-path-prefix");
    inputs.text(&toolchain.version()?).text(&output(Command::new("cc").arg("--version"))?);
    flags.iter().filter(|flag| own(flag)).for_each(|flag| {
        inputs.text(flag);
    });
    STRIP.iter().for_each(|word| {
        inputs.text(word);
    });
    if processor == Processor::I686 {
        Pinned::read(place)?.of("libc").for_each(|package| {
            inputs.text(&package.sha256);
        });
    }
    PROFILE.iter().for_each(|(name, value)| {
        inputs.text(name).text(value);
    });
    inputs.tree(&copy, &|name| !name.ends_with("README.md"))?;
    let file = folder.join("all");
    step(place, part, &inputs, &file, |log| {
        let target = place.folder("programs")?.join("target");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&copy).args(["build", "--release", "--package", "experiments", "--bin", "all"]);
        cargo.args(["--target", processor.target(), "--color", "never"]);
        // What the reader has set for builds of their own has no say here: the same sources give the same program. And the
        // libraries of the compiler that built this program, which `cargo run` puts first, are not those of the fetched one:
        // with them it would look for the standard library beside the other compiler.
        for name in
            ["RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "LD_LIBRARY_PATH"]
        {
            cargo.env_remove(name);
        }
        cargo.envs(PROFILE).env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0");
        let variable = processor.target().to_uppercase().replace('-', "_");
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if let Some(rustc) = &toolchain.rustc {
            cargo.env("RUSTC", rustc);
        }
        if let Some(linker) = &toolchain.linker {
            cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        }
        run("all experiments as one program", log, &mut cargo)?;
        fs::copy(target.join(processor.target()).join("release/all"), &file)
            .context("cargo built nothing")?;
        run("the names that are shown, kept", log, Command::new("strip").args(STRIP).arg(&file))
    })?;
    Ok(Programs { file })
}

/// Names of functions are half a megabyte. `blocked-loop` prints a few of them.
const STRIP: [&str; 5] = ["--wildcard", "--keep-symbol", "*blocked_loop*", "--keep-symbol", "*run_loop*"];

/// Small, because a page fetches it: one unit of code generation, and the linker's optimization over all crates.
const PROFILE: [(&str, &str); 5] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
];

fn flags(toolchain: &Toolchain, copy: &Path) -> Vec<String> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), "-Crelocation-model=static".to_owned()];
    // The layout of io_uring's structures is the same on every machine; the crate names those that it was tried on.
    flags.push("--cfg=io_uring_skip_arch_check".to_owned());
    // Nothing in the program depends on where it was built.
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    let cargo = env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    for (from, to) in [(copy, "book"), (cargo.as_path(), "cargo"), (toolchain.sysroot.as_path(), "rust")] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    flags
}
