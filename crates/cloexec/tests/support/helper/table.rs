//! This process's table of descriptors: what is in it, and putting known things at known numbers.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// One descriptor, as /proc shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: i32,
    /// Device and inode of what it refers to.
    pub identity: String,
    pub target: String,
    /// Is it close-on-exec?
    pub marked: bool,
}

/// Everything that is open, lowest number first. The descriptor that reads the directory is gone by the time
/// its number is looked at, so it is not in the list.
pub fn open_now() -> Vec<Entry> {
    let mut entries: Vec<Entry> = numbers().into_iter().filter_map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.number);
    entries
}

/// Close everything above the standard streams: a program can be born with descriptors it did not open.
pub fn clean() {
    for number in numbers().into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(number);
    }
}

/// Have something new at that number, with a name to know it by.
pub fn place(name: &str, number: i32, marked: bool) -> nix::Result<OwnedFd> {
    let file = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    // Up and out of the way first, since the new file may itself be at that number.
    let above = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(number + 1)).map(own)?;
    let placed = match marked {
        true => fcntl(above, FcntlArg::F_DUPFD_CLOEXEC(number)),
        false => fcntl(above, FcntlArg::F_DUPFD(number)),
    };
    let placed = placed.map(own)?;
    assert_eq!(placed.as_raw_fd(), number, "number {number} is taken, so {name} cannot be there");
    Ok(placed)
}

/// Mark a descriptor or unmark it, without the code under test.
pub fn mark(fd: impl AsFd, marked: bool) {
    let flag = if marked { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flag)).expect("the descriptor is open");
}

fn own(new: RawFd) -> OwnedFd {
    // SAFETY: only called with what F_DUPFD has answered: a number that is open and has no other owner.
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
    let marked = flags & nix::libc::O_CLOEXEC != 0;
    Some(Entry { number, identity: format!("{}:{}", object.dev(), object.ino()), target, marked })
}
