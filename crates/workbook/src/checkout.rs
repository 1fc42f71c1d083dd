//! Where things are: the checkout, its target folder, and reading and writing files.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::{AccessFlags, access};
use serde_json::Value;

/// The checkout: the nearest folder upwards that holds a book, crates and experiments; else the same from this program's
/// own folder, which may have been moved or copied since it was built; else the one that it was built in.
pub fn root() -> Result<PathBuf> {
    let is_root = |path: &Path| {
        ["book/src/SUMMARY.md", "crates", "experiments"].iter().all(|name| path.join(name).exists())
    };
    let here = env::current_dir().context("the current directory is gone")?;
    let program = env::current_exe().unwrap_or_default();
    if let Some(root) = here.ancestors().chain(program.ancestors()).find(|path| is_root(path)) {
        return Ok(root.to_owned());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/"));
    if !is_root(built) {
        bail!(
            "this is not inside a checkout of the workbook: no folder above {} has book/, crates/ and experiments/",
            here.display()
        );
    }
    Ok(built.to_owned())
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, or `CARGO_BUILD_TARGET_DIR`, or what a configuration file of cargo's says,
/// or `target` in the checkout.
pub fn target(root: &Path) -> PathBuf {
    static KNOWN: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(root.to_owned()).or_insert_with(|| root.join(find_target(root))).clone()
}

fn find_target(root: &Path) -> PathBuf {
    let variables = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];
    if let Some(folder) = variables.iter().find_map(env::var_os).filter(|folder| !folder.is_empty()) {
        return folder.into();
    }
    // cargo takes 0.1 s to answer, so it is asked only where its answer may be another one.
    let may_say = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        ["target-dir", "include"].iter().any(|word| text.contains(word))
    };
    let said = cargo_configs(root).iter().any(may_say).then(|| ask_for_target(root));
    said.flatten().unwrap_or_else(|| "target".into())
}

/// What cargo says where it builds.
fn ask_for_target(root: &Path) -> Option<PathBuf> {
    let mut command = cargo(root);
    command.args(["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let output = command.stdin(Stdio::null()).output().ok()?;
    let said: Value = serde_json::from_slice(&output.stdout).ok()?;
    said["target_directory"].as_str().map(PathBuf::from)
}

/// The files that configure cargo in this checkout: its own, those in the folders above, and the user's.
pub fn cargo_configs(root: &Path) -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let folders = root.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    let files = folders.flat_map(|folder| ["config.toml", "config"].map(|name| folder.join(name)));
    files.filter(|file| file.is_file()).collect()
}

/// Cargo, to be run in the checkout.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The folder for what this tool remembers. It may go at any time: all in it can be found out again.
pub fn memory(root: &Path) -> PathBuf {
    target(root).join("workbook")
}

/// Wait until no other copy of this tool holds this lock, and hold it until the file is dropped. None where there can be
/// no lock: nothing can be written there, or the file system has none.
///
/// # Errors
/// What `waiting` says, which is called ten times a second.
pub fn lock(path: &Path, waiting: impl Fn() -> Result<()>) -> Result<Option<File>> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    let Ok(file) = made.and_then(|()| File::create(path)) else { return Ok(None) };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                waiting()?;
                thread::sleep(Duration::from_millis(100));
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// Change a file of the tool's memory, which another copy of the tool may do at the same time.
///
/// # Errors
/// When it cannot be written; what `waiting` says, as for [`lock`], and what `change` says.
pub fn change(
    path: &Path,
    waiting: impl Fn() -> Result<()>,
    change: impl FnOnce(Option<String>) -> Result<String>,
) -> Result<()> {
    let _alone = lock(&path.with_extension("lock"), waiting)?;
    write(path, &change(fs::read_to_string(path).ok())?)
}

/// Write a file and the folders above it. A reader meanwhile finds the old content or the new one.
pub fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Read a text file, whose lines may end as they do on Windows; the error names it.
pub fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.replace("\r\n", "\n"))
}

/// Is there a program of this name on the PATH?
pub fn find_program(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    let runs = |path: &PathBuf| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    env::split_paths(&paths).map(|dir| dir.join(name)).find(runs)
}
