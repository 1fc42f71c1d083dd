//! What a reader does with the live book, in Chromium: see `browser/book.mjs`. It needs Node 20, npm's two packages, which are
//! installed below target/, and Chromium; without one of them it is skipped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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
    let into = tempfile::tempdir().expect("a folder for the book");
    let mut server = Command::new(live)
        .args(["--as-root", "--no-open", "--port", "0", "--into"])
        .arg(into.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let output = BufReader::new(server.stdout.take().expect("its output"));
    let address = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_whitespace().find(|word| word.contains("#t=")).map(str::to_owned));
    let seen = address.map(|address| {
        let mut browser = Command::new("node");
        browser.arg(tests.join("book.mjs")).arg(address).arg(chromium).env("PACKAGES", &packages);
        browser.output().expect("node runs")
    });
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).expect("the server is there");
    let ended = server.wait().expect("the server ends");
    let seen = seen.expect("the server prints its address");
    let steps = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.status.success(), "{steps}{}", String::from_utf8_lossy(&seen.stderr));
    assert_eq!(ended.code(), Some(0), "SIGTERM ends the server in order");
}
