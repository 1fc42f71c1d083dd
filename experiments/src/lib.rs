//! The library that all experiments share. Apart from it they use only `nix`, from chapter 7 on the loop itself, in chapter 10
//! the HTTP server, and one of them `io-uring`.
//! (Through it, `server-1` and its kind run the crate `stages`.)
//!
//! An experiment asks the kernel one question. It states the question, what might happen and what happens according to
//! the book; then its body makes it happen, notes what it sees, and returns the choice that the kernel made:
//!
//! ```no_run
//! use experiments::{Choice, Question, ask};
//!
//! const QUESTION: Question = Question {
//!     question: "Does the child of a fork have its parent's descriptors?",
//!     setup: "A program opens a file and forks. What does fstat return in the child?",
//!     choices: &[
//!         Choice::new("EBADF: the child has no descriptors.").because("Then it could not even print."),
//!         Choice::new("The file's metadata: the child has the same descriptors under the same numbers."),
//!     ],
//!     book: 1,
//!     shows: "fork(2) copies the whole descriptor table.",
//!     lane: "parent",
//!     ..Question::EMPTY
//! };
//!
//! fn main() -> std::process::ExitCode {
//!     ask(QUESTION, |lab| {
//!         let file = lab.file(b"alpha")?;
//!         let child = lab.fork("child", |_| Ok(i32::from(file.metadata().is_ok())))?;
//!         // The choice is worked out from what was seen, never written down.
//!         Ok(usize::from(child.answer(lab)? == 1))
//!     })
//! }
//! ```
//!
//! - [`ask`] runs the whole of it: options, prediction, body, report, verdict;
//! - [`Lab`] is what the body works with: notes, checks, children, files without a name;
//! - [`Prefork`] is a server of many processes, for experiments on which of them gets a connection;
//! - [`Lab::server`] starts the book's server at one of its stages, for experiments on what a chapter adds to it;
//! - [`workers`] are the children of such a server, [`children`] those of any process, and [`stop`] stops one for a while;
//! - [`Lab::http`] starts the book's HTTP server on a loop in a thread;
//! - [`Lab::traced`] starts a child and records each of its system calls, and [`Lab::count`] counts one of them;
//! - [`vary`] marks what differs from run to run, so that a transcript can leave it out;
//! - [`beside`] runs another thread, which knows when this one sleeps, so that it can act during the sleep;
//! - [`own_time`] is the processor time of this process, which does not grow while other processes run;
//!   [`Lab::own_time_is_fine`] checks its steps; [`median`] is the
//!   typical one of several;
//! - [`Lab::refuse`] makes a system call fail, as a container's sandbox does;
//! - [`timers_send_signals`] checks that before an experiment waits for such a signal;
//! - [`needs`] checks that a system call is permitted, before an experiment that would hang without it;
//! - [`pidfd`] gives a descriptor that is ready when a process has exited;
//! - [`cannot_ask`] is the error where this kernel or machine lacks what the question needs; a [`Failure`] is any error, and
//!   says by itself that a system call was refused.

mod ask;
mod chart;
mod environment;
mod lab;
mod output;
mod question;
mod refused_calls;
mod report;
mod stream;
mod timeline;
mod verdict;

pub use ask::ask;
pub use chart::{Axis, Plot};
pub use environment::{needs, timers_send_signals};
pub use lab::{
    Answer, Call, Child, Client, Connection, Gate, Http, Lab, Lane, PATIENCE, Prefork, Prepared, STAGES,
    Server, Sleeper, Way, answer, beside, children, hang_up, is_traced, median, own_time, pidfd, refuse,
    shown, sleeps, sleeps_in, stop, workers, write_all_that_fits,
};
pub use question::{Choice, Question, Role};
pub use report::{events, vary};
pub use verdict::{CannotAsk, Failure, Result, cannot_ask};
