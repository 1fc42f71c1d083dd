//! The reader's browser, opened at the server's address.
//!
//! The address has the token in it, and every user of this machine can read the command lines of all processes. So the browser is
//! given a file that only its owner can read, and that leads to the address.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, absolute};
use std::process::{Command, Stdio};

/// Open the reader's browser, if there is a screen to show it on. It may need the file in `folder` for as long as it starts.
///
/// # Errors
/// Those of writing the file, and of starting `xdg-open`.
pub fn open(address: &str, folder: &Path) -> io::Result<()> {
    let is_set = |name: &&str| env::var_os(name).is_some_and(|it| !it.is_empty());
    if !["DISPLAY", "WAYLAND_DISPLAY"].iter().any(is_set) || env::var_os("CI").is_some() {
        return Ok(());
    }
    let file = absolute(folder)?.join("open.html");
    // One of another start may be there, or one with other permissions.
    let _ = fs::remove_file(&file);
    let mut page = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    writeln!(
        page,
        "<!doctype html><meta charset=\"utf-8\"><title>The book</title>\
         <meta http-equiv=\"refresh\" content=\"0; url={address}\"><p><a href=\"{address}\">The book</a></p>"
    )?;
    let mut command = Command::new("xdg-open");
    let null = Stdio::null;
    command.arg(file).stdin(null()).stdout(null()).stderr(null());
    // It may become the browser itself, and stay. Nothing waits for it, and Ctrl-C in this terminal is not meant for it. The
    // kernel reaps it when this process exits.
    command.process_group(0).spawn().map(drop)
}
