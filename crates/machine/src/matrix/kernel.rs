//! The kernels: Debian's packages of them, for machines in a cloud, which have the drivers of an emulated machine.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::debian::{Apt, unpack};
use crate::inputs::Package;
use crate::place::Place;
use crate::processor::Processor;
use crate::running::output;

/// What is tried if no kernel is named: those of Debian 11, 12 and 13, the one on which this book was written, and the newest; and
/// that of Debian 13 for another processor.
pub const USUAL: [&str; 7] = ["5.10", "6.1", "6.12", "6.18", "7.2", "7.3", "6.12-arm64"];

/// Behind the name of a series, and behind a version: a kernel for 64-bit ARM.
const ARM: &str = "-arm64";

/// Where they are looked for. A series can be in several: the newest package is taken.
const SUITES: [&str; 9] = [
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-backports",
    "trixie",
    "trixie-backports",
    "forky",
    "sid",
    "experimental",
];

/// A kernel that can be booted.
#[derive(Debug)]
pub struct Kernel {
    /// What the reader calls it: `6.1`, or `6.12-arm64`.
    pub name: String,
    /// Its version: `6.1.176`, or `6.12.117-arm64`.
    pub version: String,
    /// The file that is booted.
    pub image: PathBuf,
    /// The processor that it is for.
    pub processor: Processor,
}

/// Debian's packages of kernels.
pub struct Kernels<'a> {
    place: &'a Place,
    apt: Apt<'a>,
}

impl<'a> Kernels<'a> {
    /// Set apt up with lists of its own in `place`.
    ///
    /// # Errors
    /// Where there is no apt, or the lists cannot be fetched.
    pub fn set_up(place: &'a Place) -> Result<Self> {
        let of = |processor| SUITES.map(|suite| package("", suite, "", processor));
        let suites = [of(Processor::X86_64), of(Processor::Aarch64)].concat();
        Ok(Self { place, apt: Apt::set_up(place, suites.iter())? })
    }

    /// The newest kernel of a series, such as `6.1` or `6.12-arm64`, fetched if it is not here. A path is taken as the image of a
    /// kernel for 64-bit x86.
    ///
    /// # Errors
    /// When there is none, or it cannot be fetched.
    pub fn find(&self, name: &str) -> Result<Kernel> {
        if name.contains('/') {
            let image = Path::new(name).canonicalize().with_context(|| format!("there is no {name}"))?;
            let file = image.file_name().unwrap_or_default().to_string_lossy();
            let version = file.trim_start_matches("vmlinuz-").to_owned();
            return Ok(Kernel { name: version.clone(), version, image, processor: Processor::X86_64 });
        }
        let (series, suffix, processor) = match name.strip_suffix(ARM) {
            Some(series) => (series, ARM, Processor::Aarch64),
            None => (name, "", Processor::X86_64),
        };
        let mut packages = self.packages(series, processor)?;
        newest_first(&mut packages);
        let mut last = None;
        // A mirror can have a package in its list, and not any more itself.
        for package in packages.iter().take(3) {
            let image = self.place.folder("images")?.join(format!("{}{suffix}", package.version));
            match if image.is_file() { Ok(()) } else { self.fetch(package, &image) } {
                Ok(()) => {
                    let version = format!("{}{suffix}", upstream(&package.version));
                    return Ok(Kernel { name: name.to_owned(), version, image, processor });
                }
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error.context(format!("no kernel of the series {name} can be fetched"))),
            None => bail!("Debian has no kernel of the series {name:?}; a series is {}", USUAL.join(", ")),
        }
    }

    /// A program of Debian that needs no library: `busybox` of `busybox-static`, for this processor.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn program(&self, name: &str, of: &str, processor: Processor) -> Result<PathBuf> {
        let kept = self.place.folder("images")?.join(format!("{name}-{}", processor.debian()));
        if !kept.is_file() {
            let mut wanted = package(of, "trixie", "", processor);
            wanted.version = self.apt.newest(&wanted)?;
            let root = self.unpacked(&wanted)?;
            let found = ["bin", "usr/bin"].map(|folder| root.join(folder).join(name));
            let found =
                found.iter().find(|path| path.is_file()).with_context(|| format!("{of} has no {name}"))?;
            fs::rename(found, &kept)?;
            fs::remove_dir_all(root)?;
        }
        Ok(kept)
    }

    /// The packages of a series. From Debian 14 on, `linux-image-…` is empty, and `linux-binary-…` has the image.
    fn packages(&self, series: &str, processor: Processor) -> Result<Vec<Package>> {
        let pattern = format!(
            "^linux-(image|binary)-{}[.].*-cloud-{}$",
            series.replace('.', "[.]"),
            processor.debian()
        );
        let named = output(self.apt.command("apt-cache").args(["search", "--names-only", &pattern]))?;
        let names = named.lines().filter_map(|line| line.split_whitespace().next());
        let names: Vec<_> = names.filter(|name| !name.contains("-unsigned-")).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let shown = output(self.apt.command("apt-cache").arg("madison").args(&names))?;
        // linux-image-6.1.0-50-cloud-amd64 | 6.1.176-1 | http://… bookworm/main amd64 Packages
        let rows = shown.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let package_of = |row: Vec<&str>| {
            let suite = row.get(2)?.split_whitespace().find_map(|word| word.strip_suffix("/main"))?;
            // apt names the architecture where it is another one: `linux-image-…:arm64`.
            let name = row.first()?.split(':').next()?;
            Some(package(name, suite, row.get(1)?, processor))
        };
        Ok(rows.filter_map(package_of).collect())
    }

    fn fetch(&self, wanted: &Package, image: &Path) -> Result<()> {
        let root = self.unpacked(wanted)?;
        let modules = fs::read_dir(root.join("usr/lib/modules")).into_iter().flatten().flatten();
        let boot = fs::read_dir(root.join("boot")).into_iter().flatten().flatten();
        let mut found =
            modules.map(|entry| entry.path().join("vmlinuz")).chain(boot.map(|entry| entry.path()));
        let is_kernel = |path: &PathBuf| {
            path.is_file()
                && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        };
        let found = found.find(is_kernel).with_context(|| format!("{} has no kernel", wanted.label()))?;
        fs::rename(found, image)?;
        // Its modules would take a hundred times as much room.
        Ok(fs::remove_dir_all(root)?)
    }

    fn unpacked(&self, wanted: &Package) -> Result<PathBuf> {
        let deb = self.apt.download(wanted, &wanted.version)?;
        let root = self.place.folder("unpacked")?.join(&wanted.name);
        unpack(&deb, &root)?;
        fs::remove_file(deb)?;
        Ok(root)
    }
}

fn package(name: &str, suite: &str, version: &str, processor: Processor) -> Package {
    let [name, suite, version] = [name, suite, version].map(str::to_owned);
    Package {
        name,
        part: String::new(),
        suite,
        architecture: processor.debian().to_owned(),
        version,
        sha256: String::new(),
    }
}

/// The version that the kernel itself has: `6.1.176` of `6.1.176-1`.
fn upstream(version: &str) -> &str {
    version.split(['-', '~', '+']).next().unwrap_or(version)
}

/// The newest kernel first; of two packages of the same, the one that has the image.
fn newest_first(packages: &mut [Package]) {
    let numbers = |package: &Package| -> Vec<u32> {
        upstream(&package.version).split('.').map(|number| number.parse().unwrap_or(0)).collect()
    };
    packages.sort_by_key(|package| Reverse((numbers(package), package.name.contains("-binary-"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, suite: &str, version: &str) -> Package {
        package(name, suite, version, Processor::X86_64)
    }

    #[test]
    fn versions_are_compared_by_number_and_release_candidates_are_older() {
        let mut all = [
            named("linux-image-7.3-cloud-amd64", "", "7.3~rc7-1~exp1"),
            named("linux-image-7.3.4+deb13-cloud-amd64", "", "7.3.4-1~bpo13+1"),
            named("linux-binary-7.3.4+deb13-cloud-amd64", "", "7.3.4-1~bpo13+1"),
            named("linux-image-7.3.10+deb13-cloud-amd64", "", "7.3.10-1"),
        ];
        newest_first(&mut all);
        let names = all.each_ref().map(|package| package.name.as_str());
        assert_eq!(
            names,
            [
                "linux-image-7.3.10+deb13-cloud-amd64",
                "linux-binary-7.3.4+deb13-cloud-amd64",
                "linux-image-7.3.4+deb13-cloud-amd64",
                "linux-image-7.3-cloud-amd64",
            ]
        );
    }
}
