//! Colors: only where they are wanted.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::openpty;

use crate::checkout::Checkout;

const ESCAPE: char = '\u{1b}';

#[test]
fn a_pipe_has_none_unless_it_is_forced() {
    let checkout = Checkout::new();
    checkout.solve("add", "pub fn add() { 1 }");
    for (args, code) in [
        (&["list"][..], 0),
        (&["check", "add"], 1),
        (&["check", "twice"], 1),
        (&["doctor"], 0),
        (&["nonsense"], 2),
    ] {
        let said = checkout.workbook(args);
        assert_eq!(said.code, Some(code), "{said:#?}");
        assert!(!format!("{}{}", said.stdout, said.stderr).contains(ESCAPE), "{said:?}");
        let forced = |no_color: bool| {
            let mut command = checkout.command(args);
            command.env("CLICOLOR_FORCE", "1");
            if no_color {
                command.env("NO_COLOR", "1");
            }
            let said = checkout.run(command);
            said.stdout + &said.stderr
        };
        assert!(forced(false).contains(ESCAPE), "{args:?}");
        assert!(!forced(true).contains(ESCAPE), "NO_COLOR: {args:?}");
    }
    // JSON has none, whatever is forced.
    let mut command = checkout.command(&["check", "add", "--json"]);
    command.env("CLICOLOR_FORCE", "1");
    let json = checkout.run(command).json();
    let error = json[0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("error[E0308]") && !error.contains(ESCAPE), "{error:?}");
}

#[test]
fn a_terminal_has_some_unless_it_is_refused() {
    let checkout = Checkout::new();
    checkout.solve("add", "pub fn add() { 1 }");
    for args in [&["list"][..], &["check", "add"]] {
        let said = in_a_terminal(checkout.command(args));
        // rustc's words have rustc's colors, although cargo writes into a pipe.
        let line = said.lines().find(|line| line.contains("E0308") || line.contains("toy/add"));
        assert!(line.is_some_and(|line| line.contains(ESCAPE)), "{said}");
        let mut command = checkout.command(args);
        command.env("NO_COLOR", "1");
        assert!(!in_a_terminal(command).contains(ESCAPE), "NO_COLOR: {args:?}");
    }
}

/// What it writes on a standard output that is a terminal.
fn in_a_terminal(mut command: Command) -> String {
    let pty = openpty(None, None).expect("a terminal");
    let mut child = command.stdout(pty.slave).stderr(Stdio::null()).spawn().expect("the tool starts");
    // The command holds the terminal open, and reading ends with the last who does.
    drop(command);
    let mut text = Vec::new();
    // EIO is how a terminal's other side learns that no process has it open any more.
    let _ = File::from(pty.master).read_to_end(&mut text);
    child.wait().expect("it is our child");
    String::from_utf8_lossy(&text).into_owned()
}
