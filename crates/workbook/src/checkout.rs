//! Where things are: the checkout, its target folder, and reading and writing files.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout: the nearest folder upwards that holds a book, crates and experiments, else the one that this
/// program was built in.
pub fn root() -> Result<PathBuf> {
    let is_root = |path: &Path| {
        ["book/src/SUMMARY.md", "crates", "experiments"].iter().all(|name| path.join(name).exists())
    };
    let here = env::current_dir().context("the current directory is gone")?;
    if let Some(root) = here.ancestors().find(|path| is_root(path)) {
        return Ok(root.to_owned());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/"));
    if !is_root(built) {
        bail!(
            "this is not inside a checkout of the workbook: no folder above {} has book/, crates/ and experiments/",
            here.display()
        );
    }
    Ok(built.to_owned())
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, or `target` in the checkout.
pub fn target(root: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root.join(dir),
        None => root.join("target"),
    }
}

/// The folder for what this tool remembers. It may go at any time: all in it can be found out again.
pub fn memory(root: &Path) -> PathBuf {
    target(root).join("workbook")
}

/// Write a file and the folders above it. A reader meanwhile finds the old content or the new one.
pub fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Read a text file; the error names it.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Is there a program of this name on the PATH?
pub fn find_program(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file())
}
