//! Asking the helper: a process that does one thing and says what it saw.

use std::env;
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::skipped;

mod answer;
mod before_main;
mod printed;
mod scenario;
mod waits;

pub use answer::Answer;
pub use before_main::{HELPER, REFUSED, before_main, begin, comes_on, patience};
pub use scenario::{exit_code, ignore_sigpipe, judged};

/// Between its fork and its exec, a child has a copy of every descriptor, close-on-exec or not.
static CHILDREN: RwLock<()> = RwLock::new(());

/// Has a helper of this process hung? Then most others will, and each takes seconds.
static ONE_HUNG: AtomicBool = AtomicBool::new(false);

/// A helper that still runs after this long may hang. From then on its threads are looked at once in this time.
const SUSPICIOUS: Duration = Duration::from_secs(1);

/// While this guard is held, no helper of this process is between fork and exec: for a test in which the last copy of a
/// descriptor has to be closed. The thread that holds the guard must not start a helper.
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
    /// This program again, to do what the arguments say, with an empty standard input.
    ///
    /// # Panics
    /// If this program's file cannot be found any more.
    pub fn new(args: &[&str]) -> Self {
        // Without /proc only the caller knows the path.
        let program = env::current_exe().ok().or_else(|| env::args_os().next().map(PathBuf::from));
        let mut command = Command::new(program.expect("a program that runs has a path"));
        command.arg(HELPER).args(args).stdin(Stdio::null());
        Self { command, args: args.join(" ") }
    }

    /// The command, to set more than its arguments.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Run the helper. `None` if this machine does not permit what it should do; see [`if_permitted`](Self::if_permitted),
    /// which skips the test then. Once a helper has hung, no other is run: `workbook` knows the words `not run:`.
    ///
    /// # Errors
    /// A message that says how the helper failed.
    ///
    /// # Panics
    /// If this program cannot be started.
    pub fn answer(self) -> Result<Option<Answer>, String> {
        self.run().map(Result::ok)
    }

    /// The helper's answer; or what this machine does not permit, in the helper's words.
    fn run(mut self) -> Result<Result<Answer, String>, String> {
        if ONE_HUNG.load(Ordering::Relaxed) {
            return Err("not run: the helper of another test hung".into());
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = {
            let _alone = CHILDREN.write().unwrap_or_else(PoisonError::into_inner);
            // Returns when the child's exec is over.
            self.command.spawn().expect("this program can be started once more")
        };
        let (ended, ends) = channel::<()>();
        let pid = child.id();
        let watcher = thread::spawn(move || {
            let (mut seen, mut last) = (String::new(), String::new());
            while ends.recv_timeout(SUSPICIOUS) == Err(RecvTimeoutError::Timeout) {
                // A look counts when the helper has outlived it: during the last one, its alarm may have gone off.
                seen = mem::replace(&mut last, waits::what_threads_wait_for(pid));
            }
            seen
        });
        let out = printed::printed(child).expect("its output can be read");
        drop(ended);
        let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        let said = format!("{text}{errors}");
        match (out.status.code(), out.status.signal()) {
            _ if out.too_much => Err(format!(
                "the helper `{}` printed {} MiB, so it was killed: does your code print in a loop? It began like this:\n{}",
                self.args,
                said.len() >> 20,
                said.chars().take(500).collect::<String>()
            )),
            (Some(0), _) => Ok(Ok(Answer(text.into_owned()))),
            (Some(REFUSED), _) => Ok(Err(errors.into_owned())),
            (_, Some(signal)) if signal == Signal::SIGALRM as i32 => {
                let threads = watcher.join().unwrap_or_default();
                ONE_HUNG.fetch_or(!threads.is_empty(), Ordering::Relaxed);
                Err(format!(
                    "the helper `{}` hung until its alarm went off: it waits for something that never comes, or tries \
                     again what never succeeds. (A pipe's reader never sees end of file while a write end is open \
                     anywhere.) Just before, its threads did this:{threads}\n{said}",
                    self.args
                ))
            }
            (_, Some(signal)) => Err(format!(
                "the helper `{}` was killed by {}: that is the default action of a signal without a handler.\n{said}",
                self.args,
                Signal::try_from(signal).map_or("a signal", Signal::as_str)
            )),
            _ => Err(format!("the helper `{}` ended with {}:\n{said}", self.args, out.status)),
        }
    }

    /// Run the helper. `None` if this machine does not permit what it should do: then the test is
    /// [skipped](crate::skipped), because it has nothing to judge.
    ///
    /// # Panics
    /// If the helper failed, with its output.
    #[track_caller]
    pub fn if_permitted(self) -> Option<Answer> {
        let answer = self.run().unwrap_or_else(|words| panic!("{words}"));
        answer.map_err(|words| skipped(format_args!("not permitted here: {words}"))).ok()
    }

    /// Run the helper, which does nothing that a machine may refuse.
    ///
    /// # Panics
    /// If the helper failed, with its output.
    #[track_caller]
    pub fn ask(self) -> Answer {
        let answer = self.answer().unwrap_or_else(|words| panic!("{words}"));
        answer.expect("only the tracer is ever refused")
    }
}

/// Run the helper with these arguments, in a process of its own.
///
/// # Panics
/// If the helper failed, with its output.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    Helper::new(args).ask()
}

/// Let the helper run a scenario under its tracer, on the real kernel or on a simulated one. `None` if this machine
/// refuses ptrace: then the test is [skipped], because it has nothing to judge.
///
/// # Panics
/// If the helper failed, with its output.
#[track_caller]
pub fn traced(kernel: &str, scenario: &[&str]) -> Option<Answer> {
    Helper::new(&[&["traced", kernel], scenario].concat()).if_permitted()
}
