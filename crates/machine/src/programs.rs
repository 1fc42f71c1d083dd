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
use crate::toolchain::{self, Toolchain, toolchain};

/// The program that was built.
pub struct Programs {
    /// The file. It runs an experiment if it is started by that name.
    pub file: PathBuf,
}

/// What builds programs for a kind of processor.
pub struct Compiler {
    toolchain: Toolchain,
    processor: Processor,
}

/// Find it.
///
/// # Errors
/// When the toolchain cannot be had.
pub fn compiler(place: &Place, processor: Processor) -> Result<Compiler> {
    Ok(Compiler { toolchain: toolchain(place, processor)?, processor })
}

impl Compiler {
    /// What the programs depend on, apart from their sources.
    ///
    /// # Errors
    /// When the compiler cannot be run.
    pub fn add_to(&self, inputs: &mut Inputs) -> Result<()> {
        inputs.text(&self.toolchain.version()?).text(&output(Command::new("cc").arg("--version"))?);
        FLAGS.iter().for_each(|flag| {
            inputs.text(flag);
        });
        Ok(())
    }

    /// The program that takes names out of a program.
    fn strip(&self) -> &str {
        if self.processor == Processor::Aarch64 { "aarch64-linux-gnu-strip" } else { "strip" }
    }
}

/// cargo for the workspace in the folder `copy`, whose target folder is `target`.
pub fn cargo(compiler: &Compiler, copy: &Path, target: &Path) -> Command {
    let Compiler { toolchain, processor } = compiler;
    let mut cargo = Command::new(toolchain::cargo());
    cargo.current_dir(copy);
    // What the reader has set for builds of their own has no say here: the same sources give the same program. And the
    // libraries of the compiler that built this program, which `cargo run` puts first, are not those of the fetched one:
    // with them it would look for the standard library beside the other compiler.
    for name in
        ["RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "LD_LIBRARY_PATH"]
    {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_BUILD_TARGET", processor.target()).env("CARGO_TERM_COLOR", "never");
    cargo.env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "0");
    let mut flags = FLAGS.map(str::to_owned).to_vec();
    // Nothing in the program depends on where it was built.
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    let own = env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    for (from, to) in [(copy, "book"), (own.as_path(), "cargo"), (toolchain.sysroot.as_path(), "rust")] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    if let Some(rustc) = &toolchain.rustc {
        cargo.env("RUSTC", rustc);
    }
    if let Some(linker) = &toolchain.linker {
        let variable = processor.target().to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
    }
    cargo
}

/// Build it.
///
/// # Errors
/// When the toolchain cannot be had, or cargo fails.
pub fn programs(place: &Place, processor: Processor) -> Result<Programs> {
    let compiler = compiler(place, processor)?;
    let part = processor.part();
    let folder = place.folder(part)?;
    let copy = place.folder("programs")?.join("checkout");
    sources::copy(place, &copy)?;
    let mut inputs = Inputs::default();
    compiler.add_to(&mut inputs)?;
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
        let mut cargo = cargo(&compiler, &copy, &target);
        cargo.args(["build", "--release", "--package", "experiments", "--bin", "all"]).envs(PROFILE);
        run("all experiments as one program", log, &mut cargo)?;
        fs::copy(target.join(processor.target()).join("release/all"), &file)
            .context("cargo built nothing")?;
        run("the names that are shown, kept", log, Command::new(compiler.strip()).args(STRIP).arg(&file))
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

/// The layout of io_uring's structures is the same on every machine; the crate names those that it was tried on.
const FLAGS: [&str; 3] =
    ["-Ctarget-feature=+crt-static", "-Crelocation-model=static", "--cfg=io_uring_skip_arch_check"];
