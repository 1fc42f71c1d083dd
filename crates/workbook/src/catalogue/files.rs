//! Files and folders in order, by the end of their name.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder that have this extension. None where the folder is missing.
pub fn of(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = entries(folder);
    files.retain(|path| path.is_file() && path.extension().is_some_and(|e| e == extension));
    files
}

/// The same, with the files of the folders below.
pub fn below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = of(folder, extension);
    found.extend(folders(folder).iter().flat_map(|folder| below(folder, extension)));
    found
}

/// The folders in a folder.
pub fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = entries(folder);
    folders.retain(|path| path.is_dir());
    folders
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The same without its extension.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries
}
