//! What a part was made of, as one number: a part whose inputs have not changed is not made again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// The inputs of a part, one after the other.
#[derive(Default)]
pub struct Inputs(Vec<u8>);

impl Inputs {
    /// A version, an option, or the digest of another part.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A file's content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&mut self, path: &Path) -> Result<&mut Self> {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.bytes(&content))
    }

    /// With their length, so that no two rows of inputs are the same bytes.
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
        self
    }

    /// The names and contents of all files below a folder that `wanted` accepts, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn tree(&mut self, folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<&mut Self> {
        for path in files(folder)? {
            let name = path.strip_prefix(folder)?;
            if wanted(name) {
                self.text(&name.to_string_lossy()).file(&path)?;
            }
        }
        Ok(self)
    }

    /// The number, in hexadecimal digits.
    ///
    /// # Errors
    /// Where there is no sha256sum(1).
    pub fn finish(&self) -> Result<String> {
        sha256sum(Stdio::piped(), &self.0)
    }
}

/// All files below a folder, sorted.
///
/// # Errors
/// When a folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    sha256sum(Stdio::from(file), &[])
}

/// coreutils' sha256sum is ten times as fast as a debug build of the crate sha2 is.
fn sha256sum(input: Stdio, text: &[u8]) -> Result<String> {
    let mut child = Command::new("sha256sum")
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start sha256sum")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text)?;
    }
    let output = child.wait_with_output()?;
    let digits = String::from_utf8_lossy(&output.stdout).split_whitespace().next().map(str::to_owned);
    digits.context("sha256sum has printed nothing")
}
