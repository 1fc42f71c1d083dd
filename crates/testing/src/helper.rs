//! Asking the helper: a process that does one thing and says what it saw.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use nix::sys::signal::Signal;

mod answer;
mod before_main;
mod scenario;

pub use answer::Answer;
pub use before_main::{HELPER, REFUSED, before_main, comes_on};
pub use scenario::{exit_code, ignore_sigpipe, judged};

/// Between its fork and its exec, a child has a copy of every descriptor, close-on-exec or not.
static CHILDREN: RwLock<()> = RwLock::new(());

/// No helper of this process is between fork and exec as long as this is held: for a test in which the last copy
/// of a descriptor has to be closed. Whoever holds it must not start a helper.
pub fn no_child_is_born() -> RwLockReadGuard<'static, ()> {
    CHILDREN.read().unwrap_or_else(PoisonError::into_inner)
}

/// A helper that is about to be started.
#[derive(Debug)]
pub struct Helper {
    command: Command,
    args: String,
}

impl Helper {
    /// This program once more, to do what the arguments say. It has nothing on its standard input.
    ///
    /// # Panics
    /// If this program cannot be found any more.
    pub fn new(args: &[&str]) -> Self {
        let mut command = Command::new(env::current_exe().expect("a program that runs has a path"));
        command.arg(HELPER).args(args).stdin(Stdio::null());
        Self { command, args: args.join(" ") }
    }

    /// The command, for whoever wants it to have more than its arguments.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Have it done. Nothing where this machine refuses what was asked.
    ///
    /// # Errors
    /// In words, what became of a helper that did not do it.
    ///
    /// # Panics
    /// If this program cannot be started.
    pub fn answer(mut self) -> Result<Option<Answer>, String> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = {
            let _alone = CHILDREN.write().unwrap_or_else(PoisonError::into_inner);
            // Comes back when the child's exec is over.
            self.command.spawn().expect("this program can be started once more")
        };
        let out = child.wait_with_output().expect("its output can be read");
        let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        let said = format!("{text}{errors}");
        match (out.status.code(), out.status.signal()) {
            (Some(0), _) => Ok(Some(Answer(text.into_owned()))),
            (Some(REFUSED), _) => {
                eprintln!("skipped: this is not permitted here: {errors}");
                Ok(None)
            }
            (_, Some(signal)) if signal == Signal::SIGALRM as i32 => Err(format!(
                "the helper `{}` hung until its alarm went off: it waits for something that never comes, or tries \
                 again what never succeeds. (An end of a pipe that is still open somewhere means that its reader \
                 never sees the end.)\n{said}",
                self.args
            )),
            (_, Some(signal)) => Err(format!(
                "the helper `{}` was ended by {}: a signal that nobody handles does what it does by default, and \
                 that is this.\n{said}",
                self.args,
                Signal::try_from(signal).map_or("a signal", Signal::as_str)
            )),
            _ => Err(format!("the helper `{}` ended with {}:\n{said}", self.args, out.status)),
        }
    }

    /// Have it done, or nothing where this machine refuses what was asked: then the test has nothing to judge.
    ///
    /// # Panics
    /// If it could not do it, with what it said.
    #[track_caller]
    pub fn if_permitted(self) -> Option<Answer> {
        self.answer().unwrap_or_else(|words| panic!("{words}"))
    }

    /// Have it done, where it must be.
    ///
    /// # Panics
    /// If it could not do it, with what it said.
    #[track_caller]
    pub fn ask(self) -> Answer {
        self.if_permitted().expect("only the tracer is ever refused")
    }
}

/// Have the helper do something, in a process of its own.
///
/// # Panics
/// If it could not do it, with what it said.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    Helper::new(args).ask()
}

/// Have the helper run a scenario under its tracer, on the kernel as it is or on a different one. Nothing where
/// this machine refuses ptrace: then the test says so and has nothing to judge.
///
/// # Panics
/// If it could not do it, with what it said.
#[track_caller]
pub fn traced(kernel: &str, scenario: &[&str]) -> Option<Answer> {
    Helper::new(&[&["traced", kernel], scenario].concat()).if_permitted()
}
