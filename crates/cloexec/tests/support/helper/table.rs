//! This process's descriptor table: listing it, and opening known files at known numbers.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// One descriptor, as `/proc` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: i32,
    /// The device and inode of its file.
    pub identity: String,
    pub target: String,
    /// Whether it is close-on-exec.
    pub cloexec: bool,
}

impl Entry {
    /// `close-on-exec`, or `inheritable`.
    pub fn state(&self) -> &'static str {
        if self.cloexec { "close-on-exec" } else { "inheritable" }
    }
}

/// Lists the open descriptors, lowest number first. The descriptor that reads the directory is closed before its
/// number is looked up, so it is not in the list.
pub fn open_now() -> Vec<Entry> {
    let mut entries: Vec<Entry> = numbers().into_iter().filter_map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.number);
    entries
}

/// Closes every descriptor above the standard streams, because a program can inherit descriptors.
pub fn clean() {
    for number in numbers().into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(number);
    }
}

/// Opens a new file at that number, with a name that `/proc` shows.
pub fn place(name: &str, number: i32, cloexec: bool) -> nix::Result<OwnedFd> {
    let file = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    // First copy it up and out of the way, because the new file may itself be at that number.
    let above = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(number + 1)).map(own)?;
    let placed = match cloexec {
        true => fcntl(above, FcntlArg::F_DUPFD_CLOEXEC(number)),
        false => fcntl(above, FcntlArg::F_DUPFD(number)),
    };
    let placed = placed.map(own)?;
    assert_eq!(placed.as_raw_fd(), number, "number {number} is taken, so {name} cannot be there");
    Ok(placed)
}

/// Sets or clears close-on-exec, without the code under test.
pub fn set_cloexec(fd: impl AsFd, cloexec: bool) {
    let flag = if cloexec { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flag)).expect("the descriptor is open");
}

fn own(new: RawFd) -> OwnedFd {
    // SAFETY: the callers pass a result of F_DUPFD, so the number is open and has no other owner.
    unsafe { OwnedFd::from_raw_fd(new) }
}

fn numbers() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn entry(number: i32) -> Option<Entry> {
    let link = format!("/proc/self/fd/{number}");
    let object = fs::metadata(&link).ok()?;
    let target = fs::read_link(&link).ok()?.display().to_string();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
    let cloexec = flags & nix::libc::O_CLOEXEC != 0;
    Some(Entry { number, identity: format!("{}:{}", object.dev(), object.ino()), target, cloexec })
}
