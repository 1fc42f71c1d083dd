//! The initramfs: the experiments, the crates' tests, a busybox, and what runs a test in its crate's folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::crate_tests::{Built, sources};
use super::kernel::Kernels;
use crate::digest::{Inputs, sha256};
use crate::initramfs::Archive;
use crate::place::Place;
use crate::processor::Processor;
use crate::programs::Programs;
use crate::running::output;
use crate::sources::experiments;
use crate::step::step;

/// After the first process, and before the first experiment: what a machine for people has.
///
/// /tmp is no file system of its own here, because the checkout can be below /tmp, and the tests have its paths.
const PREPARE: &str = "#!/bin/sh
cd / && umount /tmp
mkdir -p /dev/shm /dev/pts /root
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
chmod 1777 /tmp /dev/shm
hostname kernels
";

/// A test's output is a file: a process that it leaves behind would keep a pipe open.
const TEST: &str = "#!/bin/sh
cd \"$1\" || exit 125
export CARGO_MANIFEST_DIR=\"$1\" PATIENCE=100 HOME=/root
shift
\"$@\" >/run/printed 2>&1
status=$?
cat /run/printed
exit $status
";

const FILES: [(&str, &str); 6] = [
    ("bin/prepare", PREPARE),
    ("bin/in-its-crate", TEST),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/host.conf", "multi on\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
];

/// Make it. Gives its file, and the digest of what is in it.
///
/// # Errors
/// When a part cannot be read, or it cannot be written.
pub fn image(
    place: &Place,
    programs: &Programs,
    tests: (&Built, &str),
    debian: &Kernels,
    processor: Processor,
) -> Result<(PathBuf, String)> {
    let tool = |name, of| debian.program(name, of, processor);
    let tools = [tool("busybox", "busybox-static")?, tool("bash-static", "bash-static")?];
    // Debian's busybox has the same applets for each processor, and this machine can ask its own.
    let busybox = debian.program("busybox", "busybox-static", Processor::X86_64)?;
    let applets = output(Command::new(busybox).arg("--list"))?;
    let (built, digest) = tests;
    let mut inputs = Inputs::default();
    inputs.text(&sha256(&programs.file)?).text(digest);
    FILES.iter().for_each(|(name, content)| {
        inputs.text(name).text(content);
    });
    for tool in &tools {
        inputs.text(&sha256(tool)?);
    }
    let name = format!("initramfs-{}", processor.debian());
    let file = place.folder("kernels")?.join(&name);
    let digest = step(place, &name, &inputs, &file, |_| {
        Ok(fs::write(&file, archive(place, programs, built, &tools, &applets)?)?)
    })?;
    Ok((file, digest))
}

fn archive(
    place: &Place,
    programs: &Programs,
    built: &Built,
    [busybox, shell]: &[PathBuf; 2],
    applets: &str,
) -> Result<Vec<u8>> {
    let bytes = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    // Each program with its names.
    let mut all: Vec<(Vec<String>, Vec<u8>)> = Vec::new();
    let names = experiments(place)?.into_iter().map(|one| format!("bin/{}", one.name));
    all.push((names.chain(["init".to_owned(), "bin/tail".to_owned()]).collect(), bytes(&programs.file)?));
    let applets =
        applets.lines().filter(|name| !["sh", "tail"].contains(name)).map(|name| format!("bin/{name}"));
    all.push((applets.collect(), bytes(busybox)?));
    // busybox's own takes busybox's tail, which knows no --pid, whatever there is in PATH.
    all.push((vec!["bin/sh".to_owned()], bytes(shell)?));
    all.extend(FILES.map(|(name, content)| (vec![name.to_owned()], content.into())));
    for program in &built.tests {
        all.push((vec![path(&program.name)], bytes(&program.file)?));
    }
    let mut folders: Vec<_> = built.tests.iter().map(|program| &program.folder).collect();
    folders.dedup();
    let sources = folders.into_iter().map(|folder| sources(folder)).collect::<Result<Vec<_>>>()?;
    for file in built.others.iter().chain(sources.iter().flatten()) {
        all.push((vec![file.to_string_lossy().trim_start_matches('/').to_owned()], bytes(file)?));
    }
    let mut archive = Archive::default();
    let above =
        |name: &String| name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect::<Vec<_>>();
    let mut folders: BTreeSet<_> = all.iter().flat_map(|(names, _)| names).flat_map(above).collect();
    folders.extend(["dev", "proc", "root", "run", "sys", "tmp"].map(str::to_owned));
    // Sorted, a folder comes before those in it.
    folders.iter().for_each(|folder| archive.folder(folder));
    archive.device("dev/console", (5, 1));
    archive.device("dev/null", (1, 3));
    for (names, content) in &all {
        archive.program(&names.iter().map(String::as_str).collect::<Vec<_>>(), content);
    }
    Ok(archive.finish())
}

/// Where a program of tests is in the guest.
pub fn path(name: &str) -> String {
    format!("tests/{}", name.replace('/', "."))
}
