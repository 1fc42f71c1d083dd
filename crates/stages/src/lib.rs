//! The server that runs through the book, as it is at the end of each chapter, and the loop in 22 lines.
//!
//! The server runs programs for its clients. A client connects, sends a line with the name of a program, then the
//! program's input, and shuts down its sending side. The server starts the program, feeds it the input, sends back what
//! it prints, and closes the connection. If the program fails, the last line says how.
//!
//! Each stage is one complete program of at most 120 lines, on the crates built so far:
//!
//! - [`stage_1`]: fork, exec and two pipes; one client at a time;
//! - [`stage_2`]: no program inherits a connection or the listener, because all of them are close-on-exec;
//! - [`stage_3`]: one loop around poll(2) serves all clients, and no read or write waits;
//! - [`stage_4`]: threads look names up and wake the loop, and so does each program that exits;
//! - [`stage_5`]: epoll keeps the list of descriptors, and names the clients that have something to do;
//! - [`stage_6`]: a supervisor forks two workers that accept from one listener, and replaces one that dies;
//! - [`stage_7`]: all of it is callbacks on the small loop, and a timer ends a client that sends no request;
//! - [`stage_8`]: on the real loop; a timer ends a stuck program, a blocked loop is reported, and SIGTERM loses no answer;
//! - [`stage_9`]: the poller is chosen when a loop is made, so the server also starts where epoll is refused;
//! - [`stage_10`]: the same programs over HTTP, on the crate `httpserver`; a side branch, in no diff;
//! - [`stage_12`]: an async function serves a client from its request to its answer.
//!
//! What does not change from stage to stage lies beside them: `request`, the table of programs and the form of a request,
//! from stage 1 on; `program`, a program whose pipes never make the server wait, from stage 3 on; `client`, a client of a
//! server that asks for its events, from stage 5 on; `clients`, all clients by number, and `workers`, which binds and forks,
//! from stage 7 on; `handlers`, a client's handlers on the real loop, in stages 8 and 9; `running`, a program
//! of stage 10; `futures`, what stage 12 awaits.
//! `diffs/N.diff` is the change from one stage to the next, which the book prints (except stage 7's); a test keeps it up to
//! date.
//!
//! - [`small_loop`]: a complete event loop whose `run` has 22 lines;
//! - [`small_executor`]: futures on that loop; [`from_thread`]: a future of what a thread returns;
//! - [`ask`]: a client.

use std::io;
use std::path::Path;

/// Prints a line, as std's macro does, but without its panic: a server whose output is full, or whose reader has gone, still
/// serves. Defined before the modules, these two replace std's in all of them.
macro_rules! println {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

/// Does the same on the standard error.
macro_rules! eprintln {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

pub mod ask;
mod client;
mod clients;
pub mod from_thread;
pub mod futures;
mod handlers;
mod program;
mod request;
mod running;
pub mod small_executor;
pub mod small_loop;
pub mod stage_1;
pub mod stage_10;
pub mod stage_12;
pub mod stage_2;
pub mod stage_3;
pub mod stage_4;
pub mod stage_5;
pub mod stage_6;
pub mod stage_7;
pub mod stage_8;
pub mod stage_9;
mod workers;

pub use request::look_up;

/// Serves clients on a port of 127.0.0.1, or on any free port for 0, with the programs of a table and of a file. Prints
/// the address. Returns with an error, and from stage 6 on also after SIGTERM or SIGINT.
pub type Run = fn(port: u16, more: &Path) -> io::Result<()>;

/// The stages, each with its number, which is that of its chapter. Not every chapter has a stage.
#[rustfmt::skip]
pub const STAGES: [(usize, Run); 10] = [
    (1, stage_1::run), (2, stage_2::run), (3, stage_3::run), (4, stage_4::run),
    (5, stage_5::run), (6, stage_6::run), (7, stage_7::run), (8, stage_8::run),
    (9, stage_9::run), (12, stage_12::run),
];

/// The stages of another protocol. They are in no row: stage 12 is the change of stage 9.
pub const HTTP: [(usize, Run); 1] = [(10, stage_10::run)];

/// Returns the stage of chapter `n`, if there is one.
pub fn stage(n: usize) -> Option<Run> {
    STAGES.into_iter().chain(HTTP).find_map(|(number, run)| (number == n).then_some(run))
}
