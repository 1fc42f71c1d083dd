//! strace(1) for the shell in the page: Debian's source, as one static program for 32-bit x86. The page loads it with the shell
//! and puts it into the machine, so that a page that runs an experiment does not wait for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};

use crate::debian::{Apt, unpack_source};
use crate::digest::{Inputs, files};
use crate::inputs::Pinned;
use crate::machines::{self, Put, Run, Wanted};
use crate::place::{Place, read, write};
use crate::processor::Processor;
use crate::running::{need, output, run};
use crate::state::State;
use crate::step::step;
use crate::toolchain::{LIBC, packages, toolchain};

/// What the build takes, and the packages of Debian that have it.
const TOOLS: [(&str, &str); 4] = [("cc", "gcc"), ("make", "make"), ("xz", "xz-utils"), ("tar", "tar")];

/// Without the libraries with which it could print stacks and labels, and for 32-bit programs alone.
const OPTIONS: [&str; 8] = [
    "--host=i686-linux-gnu",
    "--enable-mpers=no",
    "--enable-bundled=yes",
    "--without-libunwind",
    "--without-libdw",
    "--without-libiberty",
    "--without-libselinux",
    "--disable-gcc-Werror",
];

/// What the machine's own programs say when strace shows their calls.
const SAID: [&str; 2] = ["execve(\"/bin/true\"", "+++ exited with 0 +++"];

/// Where strace's source is, once [`strace`] has built it.
pub fn source(place: &Place) -> PathBuf {
    place.work.join("strace/source")
}

/// Build it.
///
/// # Errors
/// When the source cannot be had, a tool is missing, or make fails.
pub fn strace(place: &Place) -> Result<PathBuf> {
    need("building strace", &TOOLS)?;
    let pinned = Pinned::read(place)?;
    let package = pinned.named("strace")?;
    let libc = packages(place, &pinned, "libc")?;
    let mut inputs = Inputs::default();
    inputs.text(&package.sha256).text(&OPTIONS.join(" "));
    inputs.text(&output(Command::new("cc").arg("--version"))?);
    pinned.of("libc").for_each(|package| {
        inputs.text(&package.sha256);
    });
    let program = place.folder("strace")?.join("strace");
    step(place, "strace", &inputs, &program, |log| {
        let source = source(place);
        unpacked(place, &pinned, &source, log)?;
        let build = place.folder("strace/build")?;
        fs::remove_dir_all(&build)?;
        fs::create_dir_all(&build)?;
        let mut configure = Command::new(source.join("configure"));
        configure.current_dir(&build).args(OPTIONS).args(settings(place, &libc)?);
        run("what strace is built for", log, &mut configure)?;
        let jobs = format!("-j{}", available_parallelism().map_or(1, usize::from));
        run("strace", log, Command::new("make").current_dir(&build).arg(jobs))?;
        let built = build.join("src/strace");
        run("its symbols, left out", log, Command::new("strip").arg("-o").arg(&program).arg(built))
    })?;
    Ok(program)
}

/// Unpack Debian's source, without Debian's patches, which concern its tests.
fn unpacked(place: &Place, pinned: &Pinned, source: &Path, log: &Path) -> Result<()> {
    let fetched = Apt::set_up(place, pinned.debian.iter())?.fetch_source(pinned.named("strace")?)?;
    let is_archive = |file: &&PathBuf| file.to_string_lossy().ends_with(".orig.tar.xz");
    let all = files(&fetched)?;
    let archive = all.iter().find(is_archive).context("strace's source has no archive")?;
    unpack_source(archive, source, log)
}

/// The compiler, and where it finds the C library: Debian's for 32-bit x86. The kernel's own headers are the same for both kinds
/// of x86, so they may be this machine's.
fn settings(place: &Place, libc: &Path) -> Result<Vec<String>> {
    let linker = toolchain(place, Processor::I686)?.linker.context("no linker for 32-bit x86")?;
    let headers = libc.join("usr/include");
    let own = libc.join(LIBC.replacen("usr/lib", "usr/include", 1));
    Ok(vec![
        format!("CC={}", linker.display()),
        format!(
            "CPPFLAGS=-isystem {} -isystem {} -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include",
            own.display(),
            headers.display()
        ),
        "CFLAGS=-Os".to_owned(),
        "LDFLAGS=-static".to_owned(),
        "CC_FOR_BUILD=cc".to_owned(),
        "CPPFLAGS_FOR_BUILD=".to_owned(),
        "CFLAGS_FOR_BUILD=-O1".to_owned(),
        "LDFLAGS_FOR_BUILD=".to_owned(),
    ])
}

/// See that it shows the calls of a program in the machine.
///
/// # Errors
/// When it does not: with what it said.
pub fn proved(place: &Place, state: &State, strace: &Path) -> Result<()> {
    let mut inputs = Inputs::default();
    inputs.text(&state.digest).file(&machines::script(place)?)?.file(strace)?;
    let file = place.work.join("strace/said.txt");
    let path = "/bin/strace".to_owned();
    let line = format!("{path} /bin/true");
    let put = Some(Put { path, file: strace.to_owned() });
    let wanted = Wanted { name: "strace".to_owned(), line, put };
    step(place, "strace-proved", &inputs, &file, |_| {
        machines::run(place, state, &[wanted], 1, |Run { text, .. }| {
            ensure!(SAID.iter().all(|words| text.contains(words)), "in the machine, strace says:\n{text}");
            write(&file, text.as_bytes())
        })
    })?;
    Ok(())
}

/// The license: who holds the rights, and the text.
///
/// # Errors
/// When it is not in the source.
pub fn license(place: &Place) -> Result<String> {
    let texts = ["COPYING", "LGPL-2.1-or-later"].map(|name| read(&source(place).join(name)));
    texts.into_iter().collect::<Result<Vec<_>>>().map(|texts| texts.join("\n"))
}
