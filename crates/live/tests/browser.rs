//! What a reader does with the live book, in Chromium: see `browser/book.mjs`. It needs Node 20, npm's two packages, which are
//! installed below target/, and Chromium; without one of them it is skipped.
//!
//! Every page is looked at in the light theme, and every tenth in the dark one; with `EVERY_THEME=1` every page in both.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The first of these programs that is in the PATH.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

/// The major version of Node, or 0.
fn node() -> u32 {
    let Ok(output) = Command::new("node").arg("--version").output() else { return 0 };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

#[test]
fn a_reader_predicts_runs_checks_and_reads_on_in_a_browser() {
    testing::needs!(loopback);
    let Some(chromium) = program(&["chromium", "chromium-browser", "google-chrome"]) else {
        testing::skip!("there is no Chromium. Debian's package is called chromium");
    };
    if node() < 20 {
        testing::skip!("Node is missing, or older than 20");
    }
    let live = Path::new(env!("CARGO_BIN_EXE_live"));
    let tool = live.with_file_name("workbook");
    if !tool.is_file() {
        testing::skip!("the tool is not built: cargo build --package workbook");
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&packages).expect("a folder for the packages");
    fs::copy(tests.join("package.json"), packages.join("package.json")).expect("package.json");
    if !packages.join("node_modules/axe-core").is_dir() {
        let npm = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"];
        let installed = Command::new("npm").args(npm).current_dir(&packages).status();
        if !installed.is_ok_and(|status| status.success()) {
            testing::skip!("npm cannot install playwright-core and axe-core here");
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout");
    // Always the same folder, so that what is compiled there is compiled once.
    let copy = packages.join("checkout");
    mirror(&root, &copy).expect("a copy of the checkout");
    let into = tempfile::tempdir().expect("a folder for the books");
    let mut browser = Command::new("node");
    browser.arg(tests.join("book.mjs")).args([live, &tool, &root, &copy, into.path(), &chromium]);
    // The copy's exercises are not the reader's, and so are its verdicts.
    browser.env("PACKAGES", &packages).env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
    let seen = browser.output().expect("node runs");
    let steps = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.status.success(), "{steps}{}", String::from_utf8_lossy(&seen.stderr));
    println!("{steps}");
}

/// Copy what the checkout has into `to`, without what was built. A file that is the same already keeps its time, by which cargo
/// knows that it need not be compiled again.
fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let Some(name) = entry.file_name().filter(|name| *name != "target" && *name != ".git") else {
            continue;
        };
        let copied = to.join(name);
        if kind.is_dir() {
            mirror(&entry, &copied)?;
        } else if kind.is_file() && fs::read(&copied).ok() != Some(fs::read(&entry)?) {
            fs::copy(&entry, &copied)?;
        }
    }
    Ok(())
}
