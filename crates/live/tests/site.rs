//! What a reader does with the published book, in Chromium, on a stand-in for the Linux in the page: see `browser/site.mjs`; and
//! on that Linux itself, if `just machine` has made one: see `browser/machine.mjs` and `browser/catch.mjs`. Without Chromium, Node 20 or npm they are
//! skipped. With EVERY_EXPERIMENT=1 the second one runs all experiments, and with BLESS=1 it also writes the README's picture.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "browser/tools.rs"]
mod tools;

/// Build the book with the Linux of a folder, to be served below `/name/`.
fn build(machine: &Path, into: &Path) {
    let mut live = Command::new(testing::program!("live"));
    live.arg("--site").arg(into).arg("--machine").arg(machine).args(["--base", "/name/"]);
    let built = live.output().expect("live runs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}{}", String::from_utf8_lossy(&built.stdout));
}

/// A machine that `live --site` takes for one, whose emulator is the stand-in.
fn stand_in(folder: &Path) -> PathBuf {
    let machine = folder.join("machine");
    fs::create_dir(&machine).expect("a folder for the machine");
    let emulator = tools::scripts().join("stand-in/libv86.mjs");
    fs::copy(emulator, machine.join("libv86.mjs")).expect("the stand-in");
    // An empty module of WebAssembly: its magic number, and version 1.
    fs::write(machine.join("v86.wasm"), b"\0asm\x01\0\0\0").expect("a module");
    fs::write(machine.join("state.bin.gz"), gzip(b"the state of the stand-in")).expect("a state");
    let described = serde_json::json!({
        "kernel": "6.12.0", "v86": "stand-in", "memory": 64, "limit": 2,
        "state": "state.bin.gz", "strace": "strace",
        "experiments": {
            "fd-vanishes": { "asked": true }, "port-stays-taken": { "asked": true }, "dup-clears": { "asked": true },
            "merged-signals": { "asked": true }, "broken-pipe": { "asked": true }, "two-writers": { "asked": true },
            "pipe-buf": { "asked": true },
            "cost-of-fork": { "asked": false, "why": "it has too little memory" },
        },
        "exercises": { "cloexec/flags": { "file": "cloexec-flags", "asked": 2 } },
    });
    let question = |why: &str| {
        serde_json::json!({
            "name": "cloexec-flags-one", "diff": " kept\n-old\n+new", "fails": "b_fails", "why": why,
            "choices": [{ "test": "a_passes", "says": "no a" }, { "test": "b_fails", "says": "no b" }],
        })
    };
    let asked =
        serde_json::json!({ "questions": [question("It forgets `b`."), question("It does so again.")] });
    let wrong = machine.join("wrong-answers");
    fs::create_dir(&wrong).expect("a folder for wrong answers");
    fs::write(wrong.join("cloexec-flags.json"), asked.to_string()).expect("questions");
    let program = [vec![b'a'; 4096], vec![b'b'; 4096], vec![b'c'; 100]].concat();
    fs::write(wrong.join("cloexec-flags"), &program).expect("a program");
    fs::write(machine.join("strace"), program).expect("a program");
    fs::write(machine.join("machine.json"), described.to_string()).expect("machine.json");
    machine
}

/// These bytes as `gzip` writes them.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new("gzip");
    let mut gzip = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip runs");
    gzip.stdin.take().expect("a pipe").write_all(bytes).expect("gzip reads");
    gzip.wait_with_output().expect("gzip ends").stdout
}

#[test]
fn a_reader_without_a_server_runs_experiments_on_a_linux_in_the_page() {
    testing::needs!(loopback);
    let Some(tools) = tools::Tools::find() else { return };
    let folder = tempfile::tempdir().expect("a folder for the books");
    let [site, plain] = ["site", "plain"].map(|name| folder.path().join(name));
    build(&stand_in(folder.path()), &site);
    build(&folder.path().join("no machine"), &plain);
    let mut browser = tools.node("site.mjs");
    browser.args([&site, &plain, &tools.chromium]);
    tools::run(browser);
}

/// What runs in the page unless EVERY_EXPERIMENT is set: all of them take minutes, and `just machine` has run all of them.
const FEW: [&str; 5] = ["port-stays-taken", "merged-signals", "server-1", "one-iteration", "server-10"];

/// The same for exercises whose pages ask about wrong answers.
const EXERCISES: [&str; 2] = ["process/capture", "waker/pipe"];

#[test]
fn experiments_run_on_the_linux_in_the_page() {
    testing::needs!(loopback);
    let Some(tools) = tools::Tools::find() else { return };
    let machine = Path::new("../../target/machine/site");
    if !machine.join("machine.json").is_file() {
        testing::skip!("there is no Linux for the pages: `just machine` makes one");
    }
    let site = tempfile::tempdir().expect("a folder for the book");
    build(machine, site.path());
    let mut browser = tools.node("machine.mjs");
    browser.args([site.path(), &tools.chromium]);
    if std::env::var_os("EVERY_EXPERIMENT").is_none() {
        browser.args(FEW);
    }
    tools::run(browser);
    let mut browser = tools.node("catch.mjs");
    browser.args([site.path(), &tools.chromium]);
    if std::env::var_os("EVERY_EXPERIMENT").is_none() {
        browser.args(EXERCISES);
    }
    tools::run(browser);
    if std::env::var_os("BLESS").is_some() {
        let picture = Path::new("../../book/src/images/in-the-page.png");
        let mut browser = tools.node("picture.mjs");
        browser.args([site.path(), &tools.chromium, picture]);
        tools::run(browser);
    }
}
