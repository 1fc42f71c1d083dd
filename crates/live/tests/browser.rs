//! What a reader does with the live book, in Chromium: see `browser/book.mjs`. It needs Node 20, the packages of npm, which are
//! installed below target/, and Chromium; without one of them it is skipped.
//!
//! Every page is looked at in the light theme, and every tenth in the dark one; with `EVERY_THEME=1` every page in both.

use std::path::Path;
use std::{fs, io};

#[path = "browser/tools.rs"]
mod tools;

#[test]
fn a_reader_predicts_runs_checks_and_reads_on_in_a_browser() {
    testing::needs!(loopback);
    let Some(tools) = tools::Tools::find() else { return };
    let live = testing::program!("live");
    let live = Path::new(&live);
    let tool = live.with_file_name("workbook");
    if !tool.is_file() {
        testing::skip!("the tool is not built: cargo build --package workbook");
    }
    let root = Path::new("../..").canonicalize().expect("the checkout");
    // Always the same folder, so that what is compiled there is compiled once.
    let copy = tools.packages.join("checkout");
    mirror(&root, &copy).expect("a copy of the checkout");
    let into = tempfile::tempdir().expect("a folder for the books");
    let mut browser = tools.node("book.mjs");
    browser.args([live, &tool, &root, &copy, into.path(), &tools.chromium]);
    // The copy's exercises are not the reader's, and so are its verdicts.
    browser.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
    tools::run(browser);
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
