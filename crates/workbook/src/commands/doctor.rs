//! What this machine has and lacks.

use std::process::{Command, ExitCode};

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::utsname::uname;
use serde::Serialize;

use crate::checkout::find_program;
use crate::output::say;
use crate::terminal::{self, BOLD, DIM};

#[derive(clap::Args)]
pub struct Options {
    /// Print only a JSON array
    #[arg(long)]
    json: bool,
}

/// One thing that is wanted.
#[derive(Serialize)]
struct Finding {
    name: &'static str,
    /// Is it good enough?
    good: bool,
    /// Does anything fail without it?
    required: bool,
    /// What was found.
    found: String,
    needed_for: &'static str,
    /// How to get it.
    how: &'static str,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let findings = look();
    let good = findings.iter().all(|finding| finding.good || !finding.required);
    if options.json {
        say!("{}", serde_json::to_string_pretty(&findings)?)?;
    } else {
        findings.iter().try_for_each(show)?;
        let verdict =
            if good { "Everything that is required is here." } else { "Something required is missing." };
        say!("\n{BOLD}{verdict}{BOLD:#}")?;
    }
    Ok(ExitCode::from(u8::from(!good)))
}

fn show(finding: &Finding) -> Result<()> {
    let Finding { name, found, needed_for, how, .. } = finding;
    let sign = match (finding.good, finding.required) {
        (true, _) => terminal::sign(true),
        (false, true) => terminal::sign(false),
        (false, false) => format!("{DIM}–{DIM:#}"),
    };
    say!("{sign} {name:18} {found}")?;
    if !finding.good {
        say!("  {DIM}needed for{DIM:#} {needed_for}")?;
        say!("  {DIM}get it{DIM:#}     {how}")?;
    }
    Ok(())
}

fn look() -> Vec<Finding> {
    let required =
        |name, good, found, needed_for, how| Finding { name, good, required: true, found, needed_for, how };
    let tool = |name: &'static str, needed_for, how| {
        let found = version(name);
        let good = found.is_some();
        Finding { name, good, required: false, found: found.unwrap_or("not found".into()), needed_for, how }
    };
    let release = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    vec![
        required(
            "Linux",
            cfg!(target_os = "linux") && at_least(&release, (5, 9)),
            format!("{} {release}", std::env::consts::OS),
            "everything: close_range(2) came with Linux 5.9",
            "a newer kernel, or a virtual machine that has one",
        ),
        required(
            "/proc",
            std::path::Path::new("/proc/self/fd").is_dir(),
            "/proc/self/fd".into(),
            "experiments and tests, which ask it which descriptors are open",
            "mount -t proc proc /proc",
        ),
        required(
            "descriptor limit",
            // They raise the soft limit themselves.
            hard >= 256,
            format!("{soft}, and at most {hard}"),
            "experiments, whose own descriptors sit from 200 on",
            "ulimit -n 256, or more",
        ),
        required("cores", true, format!("{cores}"), "", ""),
        tool(
            "strace",
            "`run NAME --strace`: the system calls beside the timeline",
            "apt-get install strace, or your system's way",
        ),
        tool(
            "mdbook",
            "building the book by hand; `serve` shows it without, and its pages in book/src/ can be read as they are",
            "cargo install mdbook --version 0.5.4 --locked",
        ),
        tool(
            "just",
            "short commands; `cargo workbook` does the same",
            "pip install rust-just, or: cargo install just",
        ),
        tool(
            "python3",
            "one row of the experiment cloexec-by-default",
            "apt-get install python3, or your system's way",
        ),
    ]
}

/// The first line that `NAME --version` prints. None for one that fails, as a version manager's stand-in does for a program that
/// it has not installed.
fn version(name: &str) -> Option<String> {
    let output = Command::new(find_program(name)?).arg("--version").output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next().unwrap_or(name).to_owned())
}

/// Is a release like `6.18.44-generic` at least this one?
fn at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(at_least("6.18.44-fc", (5, 9)) && at_least("5.10.0", (5, 9)) && at_least("5.9", (5, 9)));
        assert!(!at_least("5.8.18", (5, 9)) && !at_least("4.19.0", (5, 9)) && !at_least("", (5, 9)));
    }
}
