//! Hashes of the files that verdicts depend on. What many of them share is read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::catalogue::{Exercise, Experiment};
use crate::checkout;

/// The kernel's release.
const KERNEL: &str = "/proc/sys/kernel/osrelease";

/// Hashes of content.
#[derive(Debug, Default)]
pub struct Hashes {
    /// Of what many verdicts depend on: a file, or a folder with all in it.
    shared: RefCell<BTreeMap<PathBuf, u64>>,
    /// The crates with which every experiment is linked. Empty: not looked up yet.
    linked: RefCell<Vec<PathBuf>>,
}

impl Hashes {
    /// From now on, look at every file again.
    pub fn forget(&self) {
        self.shared.borrow_mut().clear();
        self.linked.borrow_mut().clear();
    }

    /// All that an exercise's verdict depends on.
    pub fn of_exercise(&self, root: &Path, exercise: &Exercise) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.add_sources(&mut hasher, root, exercise);
        add(&mut hasher, root, &exercise.source());
        hasher.write_u64(self.shared(root, Path::new(KERNEL)));
        hasher.finish()
    }

    /// All that building an exercise's tests depends on, apart from the reader's file. Where the checkout is, too.
    pub fn around(&self, root: &Path, exercise: &Exercise) -> u64 {
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        self.add_sources(&mut hasher, root, exercise);
        let files = ["Cargo.toml", "rust-toolchain.toml"].map(|name| root.join(name));
        files.iter().chain(&checkout::cargo_configs(root)).for_each(|file| add(&mut hasher, root, file));
        let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| is_of_build(name)).collect();
        variables.sort();
        variables.hash(&mut hasher);
        hasher.finish()
    }

    /// The sources of all topic crates, and of the tests of this one.
    fn add_sources(&self, hasher: &mut DefaultHasher, root: &Path, exercise: &Exercise) {
        hasher.write_u64(self.shared(root, &root.join("Cargo.lock")));
        let crates =
            fs::read_dir(root.join("crates")).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut topics: Vec<PathBuf> = crates.filter(|path| path.join("exercises").is_dir()).collect();
        topics.sort();
        // And what the tests of all of them share.
        topics.push(root.join("crates/testing"));
        topics.iter().for_each(|folder| self.add_crate(hasher, root, folder));
        hasher.write_u64(self.shared(root, &exercise.folder.join("tests")));
    }

    /// All that an experiment's verdict depends on. Its own package's Cargo.toml is none of it: that names all experiments.
    pub fn of_experiment(&self, root: &Path, experiment: &Experiment) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.shared(root, &root.join("Cargo.lock")));
        hasher.write_u64(self.shared(root, &root.join("experiments/src")));
        if self.linked.borrow().is_empty() {
            *self.linked.borrow_mut() = used_by(root, &root.join("experiments"));
        }
        self.linked.borrow().iter().for_each(|folder| self.add_crate(&mut hasher, root, folder));
        add(&mut hasher, root, &experiment.source);
        hasher.write_u64(self.shared(root, Path::new(KERNEL)));
        hasher.finish()
    }

    fn add_crate(&self, hasher: &mut DefaultHasher, root: &Path, folder: &Path) {
        hasher.write_u64(self.shared(root, &folder.join("Cargo.toml")));
        hasher.write_u64(self.shared(root, &folder.join("src")));
    }

    fn shared(&self, root: &Path, path: &Path) -> u64 {
        if let Some(hash) = self.shared.borrow().get(path) {
            return *hash;
        }
        let mut hasher = DefaultHasher::new();
        add(&mut hasher, root, path);
        let hash = hasher.finish();
        self.shared.borrow_mut().insert(path.to_owned(), hash);
        hash
    }
}

/// The crates of this checkout that a package uses, and those that they use. Their tests may use more, which is not linked.
fn used_by(root: &Path, package: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut packages = vec![package.to_owned()];
    while let Some(package) = packages.pop() {
        let manifest = checkout::read(&package.join("Cargo.toml")).unwrap_or_default();
        let uses = manifest.split_once("\n[dependencies]\n").map_or("", |(_, rest)| rest);
        let uses = uses.split("\n[").next().unwrap_or_default();
        for path in uses.split("path = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let used = root.join("crates").join(Path::new(path).file_name().unwrap_or_default());
            if !found.contains(&used) {
                found.push(used.clone());
                packages.push(used);
            }
        }
    }
    found.sort();
    found
}

/// Does this variable change how cargo and rustc build? What cargo itself sets for a program that it runs does not.
fn is_of_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let by_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    name == "PATH" || starts(&["CARGO", "RUST"]) && !starts(&by_cargo)
}

/// Does an editor keep this beside a file that is open: Vim's `.flags.rs.swp`, Emacs's `#flags.rs#`, or a copy `flags.rs~`? Nothing
/// is built from it, and it comes and goes without a change.
fn is_of_an_editor(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".") || name.starts_with(b"#") || name.ends_with(b"~")
}

/// Add a file's path and content; of a folder, each file's below it. Paths start at the checkout, so that a verdict holds
/// when the checkout is moved.
fn add(hasher: &mut DefaultHasher, root: &Path, path: &Path) {
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut entries: Vec<PathBuf> = entries.filter(|entry| !is_of_an_editor(entry)).collect();
        entries.sort();
        entries.iter().for_each(|entry| add(hasher, root, entry));
    } else {
        hasher.write(path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(path).unwrap_or_default());
    }
}
