//! Each program in the machine is named on the book's page of notices, and the built site has its license and its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    PathBuf::from("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The packages that are pinned: part, name, version, SHA-256.
fn pinned() -> Vec<[String; 4]> {
    let inputs: toml::Table = read(&root().join("crates/machine/inputs.toml")).parse().unwrap();
    let packages = ["debian", "npm"].iter().flat_map(|kind| inputs[*kind].as_array().unwrap());
    packages
        .map(|package| {
            ["part", "name", "version", "sha256"].map(|key| package[key].as_str().unwrap().to_owned())
        })
        .collect()
}

/// The files that the page names below a folder.
fn named(folder: &str) -> Vec<String> {
    let page = read(&root().join("book/src/appendix/notices.md"));
    let names =
        page.split('`').filter(|word| word.starts_with(&format!("{folder}/")) && !word.ends_with('/'));
    names.map(str::to_owned).collect()
}

#[test]
fn the_page_names_each_program_whose_source_is_offered() {
    let page = read(&root().join("book/src/appendix/notices.md")).to_lowercase();
    for [part, name, ..] in pinned() {
        if part == "sources" || part == "kernel" || part == "v86" {
            assert!(page.contains(&name), "notices.md does not name {name}");
        }
    }
    assert!(named("notices").len() >= 8, "notices.md names {:?}", named("notices"));
}

/// Both folders into which the machine is put; each is checked if it was built.
#[test]
fn a_built_site_has_the_licenses_and_the_sources() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    for site in ["machine/site", "site/machine"].map(|name| target.join(name)) {
        if !site.join("machine.json").is_file() {
            println!("skipped: {} is not built: just machine, just site", site.display());
            continue;
        }
        for name in named("notices").into_iter().chain(named("sources")) {
            assert!(!read(&site.join(&name)).is_empty(), "{name} is empty");
        }
        let list = read(&site.join("sources/list.txt"));
        for [part, name, version, sha256] in pinned() {
            if part == "kernel" {
                let file = list.lines().find(|file| file.starts_with(&name)).expect("the kernel's source");
                assert_eq!(sha256sum(&site.join("sources").join(file)), sha256, "{file}");
            } else if part == "sources" {
                let described = list.lines().find(|file| file.starts_with(&name) && file.ends_with(".dsc"));
                let described = described.unwrap_or_else(|| panic!("there is no source of {name}"));
                assert!(
                    described.contains(version.split(':').next_back().unwrap()),
                    "{described} is not {version}"
                );
                assert_eq!(sha256sum(&site.join("sources").join(described)), sha256, "{described}");
            }
        }
    }
}

fn sha256sum(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_owned()
}
