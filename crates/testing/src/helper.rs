//! Being the helper, and asking it.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::process::{Command, Stdio, exit};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::alarm;

use crate::Answer;

/// The first argument of a test program that is to be the helper. libtest knows no such option.
pub const HELPER: &str = "--helper";

/// The exit code of a helper that was not permitted what it was asked for: tracing, say.
pub const REFUSED: i32 = 77;

/// In seconds. Nothing that is asked of a helper takes that long, unless it waits for what never comes. It is
/// shorter than the patience of `workbook check`, so that a test can say which helper it was.
const HUNG: u32 = 8;

/// A limit that nothing here depends on, since no test has message queues: set to this, it marks a helper and all
/// that descends from it, through fork and exec, whatever becomes of arguments and environment.
const MARK: (Resource, u64) = (Resource::RLIMIT_MSGQUEUE, 4242);

/// What a test program does before its `main`: see [`helper!`](crate::helper).
pub fn before_main(answer: fn(&[&str]) -> i32) {
    // Miri starts no process, so there is no helper; and it has no limits to be asked for.
    if cfg!(miri) {
        return;
    }
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let limit = getrlimit(MARK.0);
    let Some((&HELPER, args)) = args.split_first() else {
        // All tests would run in here, start their helpers, and so on without end.
        if limit.is_ok_and(|(soft, _)| soft == MARK.1) {
            eprintln!("a program was started without the arguments that were meant for it: {args:?}");
            exit(2);
        }
        return;
    };
    if limit.and_then(|(_, hard)| setrlimit(MARK.0, MARK.1, hard)).is_err() {
        eprintln!("a helper cannot be marked: RLIMIT_MSGQUEUE cannot be set to {}", MARK.1);
        exit(1);
    }
    alarm::set(HUNG);
    // What is started in the background of a script, or with nohup, ignores these, and all that it starts does.
    for ignored in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
        // SAFETY: the default disposition runs no code of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigDfl) };
    }
    // A panic must not cross into the C runtime; it ends the program as it would end any other in Rust.
    exit(catch_unwind(|| answer(args)).unwrap_or(101));
}

/// For a helper that has come on, and whose work is long: its alarm goes off that much later.
pub fn comes_on() {
    alarm::set(HUNG);
}

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
