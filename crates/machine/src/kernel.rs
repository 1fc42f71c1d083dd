//! Linux for the machine in the page: Debian's source, `kernel.config` over the smallest configuration, and the guest's files
//! inside.
//!
//! The files are inside, because v86 puts a separate initrd at 64 MiB, and a machine that has this takes twice the memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};

use crate::debian::unpack_source;
use crate::digest::Inputs;
use crate::initramfs::initramfs;
use crate::inputs::Pinned;
use crate::place::{Place, write};
use crate::programs::Programs;
use crate::running::{need, output, run};
use crate::step::step;
use crate::toolchain::packages;

/// What the build takes, and the packages of Debian that have it.
const TOOLS: [(&str, &str); 7] = [
    ("cc", "gcc"),
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    ("tar", "tar"),
];

/// The same source and compiler give the same bytes: no date, no name of a machine, and no count of builds in them.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("ARCH", "i386"),
    ("KBUILD_BUILD_TIMESTAMP", "@0"),
    ("KBUILD_BUILD_USER", "book"),
    ("KBUILD_BUILD_HOST", "book"),
    ("KBUILD_BUILD_VERSION", "1"),
    ("SOURCE_DATE_EPOCH", "0"),
];

/// The kernel that was built.
pub struct Kernel {
    /// The file that boots.
    pub image: PathBuf,
    /// `6.12.117`.
    pub version: String,
}

/// Build it, with this program and klibc's shell inside.
///
/// # Errors
/// When the source cannot be had, a tool is missing, or make fails.
pub fn kernel(place: &Place, programs: &Programs) -> Result<Kernel> {
    need("building a kernel", &TOOLS)?;
    let pinned = Pinned::read(place)?;
    let klibc = packages(place, &pinned, "shell")?;
    let guest = place.folder("initramfs")?.join("i686.cpio");
    write(&guest, &initramfs(place, &programs.file, &klibc)?)?;
    let folder = place.folder("kernel")?;
    let (source, build, image) =
        (folder.join("source"), place.folder("kernel/build")?, folder.join("bzImage"));
    unpacked(place, &pinned, &source)?;
    let fragment = place.source("kernel.config");
    let mut inputs = Inputs::default();
    inputs
        .text(&pinned.named("linux-source-6.12")?.sha256)
        .text(&output(Command::new("cc").arg("--version"))?);
    inputs.file(&fragment)?.file(&guest)?;
    step(place, "kernel", &inputs, &image, |log| {
        let make = |what: &str, arguments: &[&str]| {
            let mut make = Command::new("make");
            make.envs(ENVIRONMENT).current_dir(&source).arg(format!("O={}", build.display())).args(arguments);
            run(what, log, &mut make)
        };
        configure(&source, &build, &fragment, &guest, log, &make)?;
        let jobs = format!("-j{}", available_parallelism().map_or(1, usize::from));
        make("Linux", &[&jobs, "bzImage"])?;
        std::fs::copy(build.join("arch/x86/boot/bzImage"), &image).context("make built nothing")?;
        Ok(())
    })?;
    let version = output(Command::new("make").current_dir(&source).args(["-s", "kernelversion"]))?;
    Ok(Kernel { image, version: version.trim().to_owned() })
}

/// Unpack Debian's source, with Debian's patches, to `source`.
fn unpacked(place: &Place, pinned: &Pinned, source: &Path) -> Result<()> {
    let package = packages(place, pinned, "kernel")?;
    let mut inputs = Inputs::default();
    pinned.of("kernel").for_each(|package| {
        inputs.text(&package.sha256);
    });
    step(place, "kernel-source", &inputs, &source.join("Makefile"), |log| {
        unpack_source(&package.join("usr/src/linux-source-6.12.tar.xz"), source, log)
    })?;
    Ok(())
}

/// Write the configuration: nearly nothing, then the fragment, then the guest's files.
fn configure(
    source: &Path,
    build: &Path,
    fragment: &Path,
    guest: &Path,
    log: &Path,
    make: &dyn Fn(&str, &[&str]) -> Result<()>,
) -> Result<()> {
    let config = build.join(".config");
    make("the smallest configuration", &["tinyconfig"])?;
    let mut merge = Command::new("scripts/kconfig/merge_config.sh");
    merge.envs(ENVIRONMENT).current_dir(source).arg("-O").arg(build).arg("-m").arg(&config).arg(fragment);
    run("our fragment", log, &mut merge)?;
    let mut files = Command::new("scripts/config");
    files.current_dir(source).arg("--file").arg(&config).args(["--set-str", "INITRAMFS_SOURCE"]).arg(guest);
    run("the guest's files", log, files.args(["-e", "INITRAMFS_COMPRESSION_NONE"]))?;
    make("what follows from it", &["olddefconfig"])
}
