//! Where apt fetches packages of Debian from: the mirror that this machine's own apt uses.

use std::fs;
use std::path::{Path, PathBuf};

/// The mirror of this archive of Debian that this machine's apt uses.
pub fn mirror(archive: &str) -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()),
    );
    files.sort();
    let kinds = ["list", "sources"];
    files.retain(|file| file.extension().is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted)));
    let texts: Vec<String> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'));
    // Security updates, backports and other vendors have archives of their own.
    let of_archive = |word: &&str| word.contains("://") && word.trim_end_matches('/').ends_with(archive);
    lines.flat_map(str::split_whitespace).find(of_archive).map(str::to_owned)
}

/// The option that names Debian's keys, where they are not among those that apt trusts anyway.
pub fn keys() -> Vec<String> {
    let keys = ["gpg", "pgp"].map(|kind| format!("/usr/share/keyrings/debian-archive-keyring.{kind}"));
    keys.iter()
        .find(|keys| Path::new(keys).is_file())
        .map(|keys| format!("signed-by={keys}"))
        .into_iter()
        .collect()
}

/// A line of sources.list(5).
pub fn line(kind: &str, options: Vec<String>, mirror: &str, suite: &str) -> String {
    let options = if options.is_empty() { String::new() } else { format!("[{}] ", options.join(" ")) };
    format!("{kind} {options}{mirror} {suite} main\n")
}
