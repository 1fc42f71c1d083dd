//! Packages of Debian, fetched by apt with a configuration of its own below `target`, and unpacked there.
//!
//! Nothing is installed, and no rights are needed. The mirror is the one that this machine's own apt uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::digest::sha256;
use crate::inputs::{Package, gone};
use crate::mirror::{keys, line, mirror};
use crate::place::{Place, write};
use crate::running::{Missing, need, output, run, say};

/// apt, with lists and settings of its own.
pub struct Apt<'a> {
    place: &'a Place,
    config: PathBuf,
}

impl<'a> Apt<'a> {
    /// Set it up for these packages, and fetch the lists of their releases if they are not here.
    ///
    /// # Errors
    /// Where there is no apt, it has no mirror of Debian, or the lists cannot be fetched.
    pub fn set_up<'p>(place: &'a Place, packages: impl Iterator<Item = &'p Package>) -> Result<Self> {
        need("fetching packages", &[("apt-get", "apt"), ("dpkg-deb", "dpkg")])?;
        let folder = place.folder("apt")?;
        for name in ["lists/partial", "archives/partial", "none"] {
            place.folder(&format!("apt/{name}"))?;
        }
        let mut suites: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        packages.for_each(|package| {
            suites.entry(&package.suite).or_default().insert(&package.architecture);
        });
        let keys = keys();
        let mut sources = String::new();
        for (suite, mut architectures) in suites {
            let security = suite.ends_with("-security");
            let Some(mirror) = mirror(if security { "/debian-security" } else { "/debian" }) else {
                // What is in it is in the release, too, some time later.
                if security {
                    continue;
                }
                bail!(Missing(
                    "this machine's apt has no mirror of Debian, from which packages could be fetched"
                        .to_owned()
                ));
            };
            if architectures.remove("source") {
                sources += &line("deb-src", keys.clone(), &mirror, suite);
            }
            if !architectures.is_empty() {
                let of = format!("arch={}", Vec::from_iter(architectures).join(","));
                sources += &line("deb", [of].into_iter().chain(keys.clone()).collect(), &mirror, suite);
            }
        }
        let sources_list = folder.join("sources.list");
        // Other releases than last time: the lists do not fit any more.
        let fresh = fs::read_to_string(&sources_list).is_ok_and(|there| there == sources);
        let at = |name: &str| folder.join(name).display().to_string();
        write(&folder.join("status"), b"")?;
        let config = folder.join("apt.conf");
        // A release that is being made has a date, past which apt would refuse a mirror that has stopped following it.
        let text = format!(
            "Dir::Etc::sourcelist \"{}\"; Dir::Etc::sourceparts \"{none}\"; Dir::Etc::preferencesparts \"{none}\";\n\
             Dir::State::lists \"{}\"; Dir::State::status \"{}\"; Dir::Cache \"{}\"; Dir::Cache::archives \"{}\";\n\
             APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; \"i386\"; \"arm64\"; }};\n\
             Acquire::Check-Valid-Until \"false\"; Acquire::Languages \"none\"; Debug::NoLocking \"true\";\n\
             APT::Sandbox::User \"\";\n",
            sources_list.display(),
            at("lists"),
            at("status"),
            folder.display(),
            at("archives"),
            none = at("none"),
        );
        write(&config, text.as_bytes())?;
        let apt = Self { place, config };
        if !fresh || fs::read_dir(folder.join("lists"))?.count() <= 2 {
            write(&sources_list, sources.as_bytes())?;
            apt.update()?;
        }
        Ok(apt)
    }

    /// Fetch the lists of what the mirror has.
    ///
    /// # Errors
    /// When that fails: without a network, for example.
    pub fn update(&self) -> Result<()> {
        say("fetching the lists of Debian's packages");
        let lists = output(self.command("apt-get").args(["-q", "update"]));
        lists
            .map(drop)
            .with_context(|| Missing("the lists of Debian's packages cannot be fetched".to_owned()))
    }

    /// One of apt's programs.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // The cache of all packages, which images of containers switch off: without it each call takes seconds.
        command.env("APT_CONFIG", &self.config).args(["-o", "Dir::Cache::pkgcache=pkgcache.bin"]);
        command
    }

    /// Fetch a package. What is here already is not fetched again.
    ///
    /// # Errors
    /// When the mirror has not this version any more, or its content is not what is pinned.
    pub fn fetch(&self, package: &Package) -> Result<PathBuf> {
        if package.is_here(self.place)? {
            return package.file(self.place);
        }
        let fetched = self.download(package, &package.version).with_context(|| gone(package))?;
        package.accept(self.place, &fetched)
    }

    /// Download a version of a package, whatever its content.
    ///
    /// # Errors
    /// When that fails.
    pub fn download(&self, package: &Package, version: &str) -> Result<PathBuf> {
        say(&format!("fetching {}", package.label()));
        let folder = self.place.folder("fetched/partial")?;
        let wanted = format!("{}:{}={version}", package.name, package.architecture);
        output(self.command("apt-get").current_dir(&folder).args(["-q", "download", &wanted]))?;
        let start = format!("{}_", package.name);
        let mut files = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
        files.find(named).context("apt-get has downloaded nothing")
    }

    /// Fetch the source of a package: the folder with its `.dsc` and the archives that this names. apt checks these.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_source(&self, package: &Package) -> Result<PathBuf> {
        let folder = self.place.folder("sources")?.join(format!(
            "{}-{}",
            package.name,
            package.version.replace(':', "_")
        ));
        if !folder.is_dir() {
            let fetched = self.download_source(package, &package.version).with_context(|| gone(package))?;
            let found = sha256(&described(&fetched)?)?;
            if found != package.sha256 {
                bail!("{} has the SHA-256 {found}, and inputs.toml has {}", package.label(), package.sha256);
            }
            fs::rename(fetched, &folder)?;
        }
        Ok(folder)
    }

    /// Download a version of a package's source into a folder of its own.
    ///
    /// # Errors
    /// When that fails.
    pub fn download_source(&self, package: &Package, version: &str) -> Result<PathBuf> {
        say(&format!("fetching {}", package.label()));
        let folder = self.place.folder("sources")?.join("partial");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let wanted = format!("{}={version}", package.name);
        let mut source = self.command("apt-get");
        output(source.current_dir(&folder).args([
            "-q",
            "source",
            "--download-only",
            "--only-source",
            &wanted,
        ]))?;
        Ok(folder)
    }

    /// The newest version of a package in its release.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest(&self, package: &Package) -> Result<String> {
        let Package { name, architecture, suite, .. } = package;
        let (asked, kind) = match architecture.as_str() {
            "source" => (name.clone(), "Sources"),
            _ => (format!("{name}:{architecture}"), "Packages"),
        };
        let printed = output(self.command("apt-cache").args(["madison", &asked]))?;
        // libc6 | 2.43-7 | http://… forky/main amd64 Packages
        let rows = printed.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let suite_of = format!(" {suite}/");
        let of_suite = rows
            .filter(|row| row.get(2).is_some_and(|from| from.contains(&suite_of) && from.ends_with(kind)));
        // A release can have several versions of a source.
        let newest = of_suite.filter_map(|row| row.get(1).map(|version| (*version).to_owned())).reduce(newer);
        newest.with_context(|| format!("Debian {suite} has no {asked}"))
    }
}

/// The newer of two versions.
fn newer(one: String, other: String) -> String {
    let compared = Command::new("dpkg").args(["--compare-versions", &one, "lt", &other]).status();
    if compared.is_ok_and(|status| status.success()) { other } else { one }
}

/// The file that describes a source.
///
/// # Errors
/// When the folder has none.
pub fn described(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    files.find(|file| file.extension().is_some_and(|kind| kind == "dsc")).context("the source has no .dsc")
}

/// Unpack an archive of a source, without the folder in which all of it is, in place of what was there.
///
/// # Errors
/// When it cannot be unpacked.
pub fn unpack_source(archive: &Path, into: &Path, log: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(into);
    fs::create_dir_all(into)?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(into);
    run("the source, unpacked", log, tar.arg("--strip-components=1"))
}

/// Unpack a package into a folder.
///
/// # Errors
/// When it cannot be unpacked.
pub fn unpack(deb: &Path, into: &Path) -> Result<()> {
    output(Command::new("dpkg-deb").arg("-x").args([deb, into])).map(drop)
}
