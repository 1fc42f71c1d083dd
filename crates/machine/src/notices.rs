//! `site/notices`: the license of each program that is in the machine, and `site/sources`: what the licenses ask for beside
//! it, which is the sources, the configuration, and the scripts that build the machine from them.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::debian::Apt;
use crate::digest::files;
use crate::inputs::Pinned;
use crate::place::{Place, read, write};
use crate::processor::Processor;
use crate::running::output;
use crate::strace;
use crate::toolchain::{packages, toolchain};

/// A notice, the part of `inputs.toml` that it is about, and the file with the license in what was unpacked.
const LICENSES: [(&str, &str, &str); 5] = [
    ("linux", "kernel", "usr/share/doc/linux-source-6.12/copyright"),
    ("seabios", "bios", "usr/share/doc/seabios/copyright"),
    ("klibc", "shell", "usr/share/doc/libklibc/copyright"),
    ("glibc", "libc", "usr/share/doc/libc6-dev/copyright"),
    ("gcc", "gcc", "usr/share/doc/gcc-16-base/copyright"),
];

/// Write both folders into the site.
///
/// # Errors
/// When a license or a source is not there.
pub fn notices(place: &Place, site: &Path) -> Result<()> {
    let pinned = Pinned::read(place)?;
    let put =
        |name: &str, text: String| write(&site.join("notices").join(format!("{name}.txt")), text.as_bytes());
    for (name, part, file) in LICENSES {
        put(name, read(&packages(place, &pinned, part)?.join(file))?)?;
    }
    put("strace", strace::license(place)?)?;
    put("v86", read(&place.work.join("unpacked/v86/LICENSE"))?)?;
    put("rust", rust(place)?)?;
    put("crates", crates(place)?)?;
    sources(place, &pinned, &site.join("sources"))
}

/// The license of Rust's standard library: what its distributor says, and the text of the one of its two that we chose.
fn rust(place: &Place) -> Result<String> {
    let documents = toolchain(place, Processor::I686)?.sysroot.join("share/doc");
    let found = ["libstd-rust-dev/copyright", "rust/COPYRIGHT"].map(|name| documents.join(name));
    let mut text =
        "Rust's standard library. Copyright (c) The Rust Project Contributors. MIT OR Apache-2.0\n\n"
            .to_owned();
    for file in found.iter().filter(|file| file.is_file()) {
        text += &read(file)?;
    }
    Ok(text + &read(&place.root.join("LICENSE-APACHE"))?)
}

/// The licenses of the crates in the programs: the experiments, and the wrong answers.
fn crates(place: &Place) -> Result<String> {
    let mut packages = Vec::new();
    for workspace in ["programs/checkout", "wrong-answers/checkout"] {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(place.work.join(workspace));
        cargo.args(["metadata", "--format-version", "1", "--filter-platform", Processor::I686.target()]);
        let mut metadata: Value = serde_json::from_str(&output(&mut cargo)?)?;
        packages.append(metadata["packages"].as_array_mut().context("cargo names no crates")?);
    }
    let mut texts = BTreeSet::new();
    for package in packages {
        // Those of the book have no source elsewhere. loom has a line less here than there.
        let (Some(name), Some(manifest)) = (package["name"].as_str(), package["manifest_path"].as_str())
        else {
            continue;
        };
        if package["source"].is_null() && name != "loom" {
            continue;
        }
        let version = package["version"].as_str().unwrap_or_default();
        let mut text = format!("{name} {version}: {}\n", package["license"].as_str().unwrap_or("see below"));
        let folder = Path::new(manifest).parent().context("a crate without a folder")?;
        for file in files(folder)?.iter().filter(|file| file.parent() == Some(folder)) {
            let title = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            if title.starts_with("LICENSE") || title.starts_with("COPYING") {
                text += &format!("\n{}\n", read(file)?);
            }
        }
        texts.insert(text);
    }
    Ok(texts.into_iter().collect::<Vec<_>>().join("\n----\n\n"))
}

/// The sources of what is not the book's own and whose license asks for them, and what builds the machine from them.
fn sources(place: &Place, pinned: &Pinned, folder: &Path) -> Result<()> {
    let apt = Apt::set_up(place, pinned.debian.iter())?;
    let mut wanted = vec![apt.fetch(pinned.named("linux-source-6.12")?)?];
    for package in pinned.of("sources") {
        wanted.extend(files(&apt.fetch_source(package)?)?);
    }
    let _ = fs::remove_dir_all(folder);
    for file in wanted {
        copy(&file, &folder.join(file.file_name().context("a file without a name")?))?;
    }
    // A copy, because these can be edited.
    let own = place.root.join("crates/machine");
    for file in files(&own)? {
        write(&folder.join("machine").join(file.strip_prefix(&own)?), &fs::read(&file)?)?;
    }
    let names = files(folder)?;
    let names = names.iter().filter_map(|file| file.strip_prefix(folder).ok());
    let list: String = names.map(|name| format!("{}\n", name.display())).collect();
    write(&folder.join("list.txt"), list.as_bytes())
}

/// A hard link, because some of these files are large; a copy where that cannot be.
///
/// # Errors
/// When neither can be made.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let _ = fs::remove_file(to);
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))
}
