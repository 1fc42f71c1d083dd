//! Where things are: the checkout, and the folder below `target` that this tool writes to, and writes to nothing else.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The two folders that everything here works with.
pub struct Place {
    /// The checkout of the book.
    pub root: PathBuf,
    /// `target/machine`.
    pub work: PathBuf,
}

impl Place {
    /// Find them, and make the second one.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn find() -> Result<Self> {
        // Where cargo finds this crate now. A checkout that was moved is not built anew, and in here is where it was.
        let here = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = here.filter(|here| here.ends_with("crates/machine"));
        let root = here
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
            .join("../..")
            .canonicalize()
            .context("the checkout is gone")?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |t| root.join(t));
        let work = target.join("machine");
        fs::create_dir_all(&work).with_context(|| format!("cannot make the folder {}", work.display()))?;
        Ok(Self { root, work })
    }

    /// A file of this crate: `kernel.config`, for example.
    pub fn source(&self, name: &str) -> PathBuf {
        self.root.join("crates/machine").join(name)
    }

    /// A folder below `target/machine`, which is there after this.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.work.join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(folder)
    }
}

/// Read a text file, with its name in the error.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Write a file, if it has another content: what is the same keeps its time, and is not built again.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
