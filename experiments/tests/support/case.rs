//! An experiment in an environment that lacks something, and what it may do there.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use experiments::refuse;
use nix::errno::Errno;
use nix::libc;

use super::{Run, program, run};

/// Two with an HTTP server, in a child and in a thread, and one with a connection alone.
pub const HTTP: [&str; 3] = ["worker-killed-under-load", "hostile-page", "idle-close-race"];

/// What an experiment may do in an environment.
pub enum Expected {
    /// Nothing that it needs is missing.
    Agrees,
    /// It is skipped, and its reason has these words.
    Skips(&'static str),
}
use Expected::{Agrees, Skips};

/// An experiment in an environment.
pub struct Case {
    experiment: &'static str,
    environment: &'static str,
    pub command: Command,
}

impl Case {
    /// A process that `prepare` has changed becomes the experiment.
    pub fn new(
        experiment: &'static str,
        environment: &'static str,
        prepare: impl Fn() -> nix::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let mut command = Command::new(program(experiment));
        command.arg("--json");
        // SAFETY: each `prepare` of these tests makes system calls and nothing else, so it may run between fork and exec.
        unsafe { command.pre_exec(move || Ok(prepare()?)) };
        Self { experiment, environment, command }
    }

    /// A shell prepares its process with `script` and becomes the experiment.
    pub fn by(launcher: &[&str], experiment: &'static str, environment: &'static str) -> Self {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(program(experiment)).arg("--json");
        Self { experiment, environment, command }
    }

    /// Run it, and check that it does what is expected, and leaves no process behind.
    pub fn check(mut self, expected: &Expected) {
        let run = run(&mut self.command);
        let verdict = verdict(&run);
        if matches!(expected, Agrees) && verdict.0 == "skipped" && is_skipped(self.experiment) {
            return eprintln!("skipped: {}: {}", self.experiment, verdict.1);
        }
        let right = match expected {
            Agrees => verdict == ("agrees".to_owned(), String::new()) && run.status == Some(0),
            Skips(words) => verdict.0 == "skipped" && verdict.1.contains(words) && run.status == Some(3),
        };
        let wanted = match expected {
            Agrees => "it should agree".to_owned(),
            Skips(words) => format!("it should be skipped, with the reason {words:?}"),
        };
        let Self { experiment, environment, .. } = self;
        assert!(
            right,
            "{experiment}, {environment}: {wanted}, but: {verdict:?}\n{}{}",
            run.stdout, run.stderr
        );
        assert!(
            run.left.is_empty(),
            "{experiment}, {environment}: these processes outlived it: {:?}",
            run.left
        );
    }
}

/// The verdict of a report, and the reason, if it has one.
fn verdict(run: &Run) -> (String, String) {
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    let word = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    (word("verdict"), word("reason"))
}

/// Whether an experiment is skipped here in any case.
fn is_skipped(experiment: &str) -> bool {
    run(Command::new(program(experiment)).arg("--json")).status == Some(3)
}

/// Whether a process may get a filter for system calls, which a container can refuse.
pub fn can_refuse() -> bool {
    let mut command = Command::new("true");
    // SAFETY: system calls and nothing else, so it may run between fork and exec.
    unsafe { command.pre_exec(|| Ok(refuse(libc::SYS_io_uring_setup, Errno::ENOSYS)?)) };
    let refused = command.status().is_ok_and(|status| status.success());
    if !refused {
        eprintln!("skipped: seccomp(2) filters are refused here");
    }
    refused
}

/// Whether a launcher works here: `unshare` needs root, or namespaces of users.
pub fn works(launcher: &[&str]) -> bool {
    let outcome = Command::new(launcher[0]).args(&launcher[1..]).arg("true").stderr(Stdio::null()).status();
    let works = outcome.is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: {launcher:?} does not work here");
    }
    works
}
