//! This process's descriptor table, as `/proc` shows it.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// One descriptor: its number, what it leads to, and the device and inode of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: i32,
    pub target: String,
    pub identity: (u64, u64),
    /// Whether it was opened for writing.
    pub writes: bool,
}

/// Lists the open descriptors of a process, `self` or a pid, lowest number first. A descriptor that is closed before
/// it is looked up is not in the list.
pub fn open_in(process: &str) -> Vec<Entry> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return Vec::new() };
    let numbers: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut entries: Vec<Entry> = numbers.into_iter().filter_map(|number| entry(process, number)).collect();
    entries.sort_unstable_by_key(|entry| entry.number);
    entries
}

fn entry(process: &str, number: i32) -> Option<Entry> {
    let link = format!("/proc/{process}/fd/{number}");
    let object = fs::metadata(&link).ok()?;
    let target = fs::read_link(&link).ok()?.display().to_string();
    let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{number}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
    let writes = flags & nix::libc::O_ACCMODE != nix::libc::O_RDONLY;
    Some(Entry { number, target, identity: (object.dev(), object.ino()), writes })
}

/// Closes every descriptor above the standard streams, because a program can inherit descriptors.
pub fn clean() {
    for entry in open_in("self").iter().filter(|entry| entry.number > 2) {
        let _ = nix::unistd::close(entry.number);
    }
}

/// What is in one list and not in the other.
pub fn changes(before: &[Entry], after: &[Entry]) -> String {
    let only_in = |one: &[Entry], other: &[Entry]| {
        let words = |entry: &Entry| format!("{} ({})", entry.number, entry.target);
        one.iter().filter(|entry| !other.contains(entry)).map(words).collect::<Vec<_>>().join(", ")
    };
    format!("before: {}; now: {}", only_in(before, after), only_in(after, before))
}
