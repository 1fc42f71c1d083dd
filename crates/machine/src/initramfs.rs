//! The files of the guest, as the kernel unpacks them at its start: an archive of cpio(5)'s kind `newc`.
//!
//! Written here and not by cpio(1), because device files in a folder take root's rights and in an archive none. All times
//! are 0, and all files are root's: the same files are the same bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::place::Place;
use crate::sources::{experiments, tools};

/// The kinds and permissions of files: see inode(7).
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

/// Of klibc, what a reader finds in the shell.
const TOOLS: [&str; 12] =
    ["cat", "dmesg", "kill", "ln", "ls", "minips", "mkdir", "mkfifo", "sh", "sleep", "true", "uname"];

/// An archive that is being written.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// A folder; its parent comes first.
    pub fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, 2, (0, 0), &[]);
    }

    /// A program under several names, which are hard links.
    pub fn program(&mut self, names: &[&str], content: &[u8]) {
        let links = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let Some((last, others)) = names.split_last() else { return };
        // The kernel takes the content from the last of the links.
        for name in others {
            self.entry(name, PROGRAM, links, (0, 0), &[]);
            self.inode -= 1;
        }
        self.entry(last, PROGRAM, links, (0, 0), content);
    }

    /// A device file, with its numbers.
    pub fn device(&mut self, name: &str, numbers: (u32, u32)) {
        self.entry(name, DEVICE, 1, numbers, &[]);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = u32::MAX;
        self.entry("TRAILER!!!", 0, 1, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, links: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.inode = self.inode.wrapping_add(1);
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, length, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The guest's files: the program under the name of each experiment, a console, and a shell from klibc.
///
/// # Errors
/// When a file cannot be read.
pub fn initramfs(place: &Place, program: &Path, klibc: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "sys", "tmp", "usr", "usr/lib"] {
        archive.folder(folder);
    }
    // Without a console, the first process would have no descriptors 0 to 2, and std would abort.
    archive.device("dev/console", (5, 1));
    archive.device("dev/null", (1, 3));
    let mut names: Vec<String> = experiments(place)?.into_iter().map(|experiment| experiment.name).collect();
    names.extend(tools(place)?);
    let names: Vec<String> =
        names.iter().map(|name| format!("bin/{name}")).chain(["init".to_owned()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    archive.program(&names, &read(program)?);
    for tool in TOOLS {
        archive.program(&[&format!("bin/{tool}")], &read(&klibc.join("usr/lib/klibc/bin").join(tool))?);
    }
    // Its programs ask for the library by a name with a number, below /usr/lib.
    let libraries = fs::read_dir(klibc.join("usr/lib")).context("klibc has no library")?.flatten();
    for library in libraries.filter(|entry| entry.path().is_file()) {
        let name = format!("usr/lib/{}", library.file_name().to_string_lossy());
        archive.program(&[&name], &read(&library.path())?);
    }
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_links_share_an_inode_and_the_last_one_has_the_content() {
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.program(&["bin/a", "bin/b"], b"content");
        let text = String::from_utf8(archive.finish()).unwrap();
        let headers: Vec<&str> = text.match_indices("070701").map(|(at, _)| &text[at..at + 110]).collect();
        let field = |header: usize, number: usize| &headers[header][6 + 8 * number..14 + 8 * number];
        assert_eq!(headers.len(), 4, "a folder, two links, a trailer");
        assert_eq!(field(1, 0), field(2, 0), "the inode of both links");
        assert_ne!(field(0, 0), field(1, 0), "the folder has another inode");
        assert_eq!((field(1, 6), field(2, 6)), ("00000000", "00000007"), "the sizes");
    }

    #[test]
    fn each_entry_begins_at_a_multiple_of_four() {
        let mut archive = Archive::default();
        archive.program(&["abc"], b"12345");
        archive.device("dev/null", (1, 3));
        let text = String::from_utf8(archive.finish()).unwrap();
        assert!(text.match_indices("070701").all(|(at, _)| at % 4 == 0));
    }
}
