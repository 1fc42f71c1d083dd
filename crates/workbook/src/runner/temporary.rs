//! Where the programs that are started may put temporary files.
//!
//! rustc needs such a folder for every program, and says that it "could not compile" where there is none; so do tests.
//! A TMPDIR that is missing, read-only or full is no fault of the reader's code, so another folder is used then.

use std::env;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::statvfs::statvfs;
use nix::unistd::mkdtemp;

/// rustc needs some hundred kilobytes for a program.
const ENOUGH: u64 = 16 << 20;

/// Folders that most machines have.
const OTHERS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// The folder to use in place of TMPDIR. None: TMPDIR is good, or no other folder is better.
pub fn instead() -> Option<&'static Path> {
    static INSTEAD: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let given = env::temp_dir();
        // An empty path names no folder.
        if let Ok(whole) = path::absolute(&given)
            && is_good(&whole)
        {
            // What is started does not run in this folder, from where the reader's relative path is meant.
            return given.is_relative().then_some(whole);
        }
        OTHERS.into_iter().map(PathBuf::from).find(|folder| is_good(folder))
    };
    INSTEAD.get_or_init(find).as_deref()
}

/// Can something be written there, and is there room?
fn is_good(folder: &Path) -> bool {
    let room = statvfs(folder).map(|it| it.blocks_available().saturating_mul(it.fragment_size()));
    let Ok(inside) = mkdtemp(&folder.join("workbook-XXXXXX")) else { return false };
    let written = fs::write(inside.join("file"), [0; 4096]).is_ok();
    let _ = fs::remove_dir_all(&inside);
    written && room.map_or(true, |room| room >= ENOUGH)
}
