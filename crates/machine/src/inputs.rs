//! What the machine is built from, pinned: `inputs.toml` names each package with its version and its SHA-256.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::place::{Place, read};
use crate::running::Missing;

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Packages of Debian.
    pub debian: Vec<Package>,
    /// Packages of npm.
    pub npm: Vec<Package>,
}

/// A package.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// What takes it: `rust`, `libc`, `kernel`, `bios`, `shell`, `v86`; `sources` are offered beside the site.
    pub part: String,
    /// Debian's name of a release, `forky`; empty for npm.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suite: String,
    /// Debian's name of a processor, `i386`; empty for npm.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its file.
    pub sha256: String,
}

impl Pinned {
    /// Read the file.
    ///
    /// # Errors
    /// When it cannot be read, or is not as described here.
    pub fn read(place: &Place) -> Result<Self> {
        let path = place.source("inputs.toml");
        toml::from_str(&read(&path)?).with_context(|| format!("{} cannot be understood", path.display()))
    }

    /// The packages that one part takes.
    pub fn of<'a>(&'a self, part: &'a str) -> impl Iterator<Item = &'a Package> {
        self.debian.iter().chain(&self.npm).filter(move |package| package.part == part)
    }

    /// The package with this name.
    ///
    /// # Errors
    /// When the file has none.
    pub fn named(&self, name: &str) -> Result<&Package> {
        let mut all = self.debian.iter().chain(&self.npm);
        all.find(|package| package.name == name).with_context(|| format!("inputs.toml has no {name}"))
    }
}

impl Package {
    /// How an error names it.
    pub fn label(&self) -> String {
        let Self { name, suite, architecture, version, .. } = self;
        if suite.is_empty() {
            format!("{name} {version} (npm)")
        } else {
            format!("{name} {version} for {architecture} (Debian {suite})")
        }
    }

    /// Where its file is once it has been fetched.
    pub fn file(&self, place: &Place) -> Result<PathBuf> {
        let version = self.version.replace([':', '/'], "_");
        let ending = if self.suite.is_empty() { "tgz" } else { "deb" };
        let name = [&self.name, &version, &self.architecture].map(String::as_str).join("_");
        Ok(place.folder("fetched")?.join(format!("{}.{ending}", name.trim_end_matches('_'))))
    }

    /// Is its file here, and is it the one that is pinned?
    pub fn is_here(&self, place: &Place) -> Result<bool> {
        let file = self.file(place)?;
        Ok(file.is_file() && sha256(&file)? == self.sha256)
    }

    /// Take a file that was downloaded.
    ///
    /// # Errors
    /// When its content is not what is pinned.
    pub fn accept(&self, place: &Place, downloaded: &Path) -> Result<PathBuf> {
        let found = sha256(downloaded)?;
        if found != self.sha256 {
            bail!("{} has the SHA-256 {found}, and inputs.toml has {}", self.label(), self.sha256);
        }
        let file = self.file(place)?;
        fs::rename(downloaded, &file)?;
        Ok(file)
    }
}

/// What to do when a package is gone.
pub fn gone(package: &Package) -> Missing {
    Missing(format!(
        "{} cannot be had any more. Run `just machine --pin` to pin the versions that can be had today, see that \
         `just machine --try` still agrees, and commit crates/machine/inputs.toml",
        package.label()
    ))
}
