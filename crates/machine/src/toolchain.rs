//! A compiler that can make a static program for a processor: this machine's own for 64-bit x86; for 32-bit x86 rustup's, or
//! else Debian's, with glibc from Debian in both cases; for 64-bit ARM rustup's, with Debian's cross-compiler.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::debian::{Apt, unpack};
use crate::digest::Inputs;
use crate::inputs::{Package, Pinned};
use crate::place::{Place, write};
use crate::processor::Processor;
use crate::running::{Missing, need, output, say};
use crate::step::step;

/// Where Debian's packages for 32-bit x86 have the C library, and where those of its compiler have their part.
pub const LIBC: &str = "usr/lib/i386-linux-gnu";
const GCC: &str = "usr/lib/gcc/i686-linux-gnu/16";

/// What links programs for 64-bit ARM.
const CROSS: &str = "aarch64-linux-gnu-gcc";

/// A compiler and a linker; cargo's own choice where there is none.
pub struct Toolchain {
    /// What to run as rustc.
    pub rustc: Option<PathBuf>,
    /// What to run as linker.
    pub linker: Option<PathBuf>,
    /// Where its standard library is.
    pub sysroot: PathBuf,
}

impl Toolchain {
    /// What the compiler says of itself.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn version(&self) -> Result<String> {
        output(Command::new(self.rustc.clone().unwrap_or_else(own)).arg("-vV"))
    }
}

/// The cargo that started this program, or that of the same toolchain: not rustup's program of that name, which puts the libraries of
/// the toolchain that it chooses first.
pub fn cargo() -> OsString {
    let own = || {
        let cargo = sysroot().ok()?.join("bin/cargo");
        cargo.is_file().then(|| cargo.into_os_string())
    };
    env::var_os("CARGO").or_else(own).unwrap_or_else(|| "cargo".into())
}

/// Where its standard library is.
fn sysroot() -> Result<PathBuf> {
    output(Command::new(own()).args(["--print", "sysroot"])).map(|path| PathBuf::from(path.trim()))
}

/// The compiler that cargo uses.
fn own() -> PathBuf {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()).into()
}

/// Find or fetch what makes programs for this processor.
///
/// # Errors
/// When nothing can be had.
pub fn toolchain(place: &Place, processor: Processor) -> Result<Toolchain> {
    if processor == Processor::X86_64 {
        return Ok(Toolchain { rustc: None, linker: None, sysroot: sysroot()? });
    }
    if processor == Processor::Aarch64 {
        need("making programs for aarch64", &[(CROSS, "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross")])?;
        let (rustc, sysroot) = by_rustup(place, processor.target())?
            .ok_or_else(|| Missing("rustup has no standard library for aarch64 here".to_owned()))?;
        return Ok(Toolchain { rustc, linker: Some(CROSS.into()), sysroot });
    }
    let pinned = Pinned::read(place)?;
    let root = packages(place, &pinned, "libc")?;
    let (libc, gcc) = (root.join(LIBC), root.join(GCC));
    let (libc, gcc) = (libc.display(), gcc.display());
    let linker = script(place, "link-i686", &format!("cc -m32 -B{gcc} -B{libc} -L{gcc} -L{libc}"))?;
    let linker = Some(linker);
    if let Some((rustc, sysroot)) = by_rustup(place, processor.target())? {
        return Ok(Toolchain { rustc, linker, sysroot });
    }
    let root = packages(place, &pinned, "rust")?;
    let (lib, sysroot) = (root.join("usr/lib/x86_64-linux-gnu"), root.join("usr"));
    // With the C library that it was built with, which is newer than this machine's.
    let call = format!(
        "{lib}/ld-linux-x86-64.so.2 --library-path {lib} {sysroot}/bin/rustc --sysroot {sysroot}",
        lib = lib.display(),
        sysroot = sysroot.display()
    );
    Ok(Toolchain { rustc: Some(script(place, "rustc", &call)?), linker, sysroot })
}

/// What rustup has: the standard library beside this machine's own compiler, or the same compiler with it in a folder of its
/// own, so that nothing is installed for the reader. `None` if it has neither.
fn by_rustup(place: &Place, target: &str) -> Result<Option<(Option<PathBuf>, PathBuf)>> {
    let version = output(Command::new(own()).arg("-vV"))?;
    let field =
        |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let sysroot = sysroot()?;
    if sysroot.join("lib/rustlib").join(target).is_dir() {
        return Ok(Some((None, sysroot)));
    }
    let home = place.folder("rustup")?;
    let toolchain = home.join("toolchains").join([field("release:"), field("host:")].join("-"));
    if !toolchain.join("lib/rustlib").join(target).is_dir() {
        say(&format!("fetching Rust {} for {target} with rustup", field("release:")));
        let mut rustup = Command::new("rustup");
        rustup.env("RUSTUP_HOME", &home).args([
            "toolchain",
            "install",
            field("release:"),
            "--profile",
            "minimal",
        ]);
        rustup.args(["--target", target, "--no-self-update"]);
        if let Err(error) = output(&mut rustup) {
            let reason = error.to_string();
            say(&format!(
                "rustup has none here ({}), so Debian's is taken",
                reason.lines().last().unwrap_or_default()
            ));
            return Ok(None);
        }
    }
    Ok(Some((Some(toolchain.join("bin/rustc")), toolchain)))
}

/// Fetch and unpack the packages that a part takes. Gives the folder.
///
/// # Errors
/// When one cannot be had.
pub fn packages(place: &Place, pinned: &Pinned, part: &str) -> Result<PathBuf> {
    let taken: Vec<&Package> = pinned.of(part).collect();
    let root = place.work.join("unpacked").join(part);
    let mut inputs = Inputs::default();
    taken.iter().for_each(|package| {
        inputs.text(&package.sha256);
    });
    step(place, &format!("packages-{part}"), &inputs, &root, |_| {
        let apt = Apt::set_up(place, pinned.debian.iter())?;
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root)?;
        taken.iter().try_for_each(|package| unpack(&apt.fetch(package)?, &root))
    })?;
    Ok(root)
}

/// A program of one line, which passes its arguments on.
fn script(place: &Place, name: &str, call: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = place.folder("tools")?.join(name);
    write(&path, format!("#!/bin/sh\nexec {call} \"$@\"\n").as_bytes())?;
    std::fs::set_permissions(Path::new(&path), std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
