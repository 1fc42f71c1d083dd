//! The operations whose system calls fail: each prepares something, does one thing between two marks, and then checks
//! that nothing is lost.

use ioloop::poller::Kind;

mod accepting;
mod closing;
mod handlers;
mod http;
mod looping;
mod making;
mod processes;
mod programs;
mod wakers;

/// A name, and what it stands for.
type Named<F> = (&'static str, F);

/// Something that the crates do.
#[derive(Debug)]
pub struct Operation {
    /// Which crate does what, and on which poller if it is a loop: `ioloop: close, on epoll`.
    pub name: String,
    /// Do it.
    pub run: Run,
}

/// How to run an operation.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// It has no loop.
    Alone(fn()),
    /// On a loop with this poller.
    On(Kind, fn(Kind)),
}

impl Operation {
    /// All operations.
    pub fn all() -> Vec<Self> {
        let alone = ALONE.iter().map(|(name, run)| Self { name: (*name).into(), run: Run::Alone(*run) });
        let on_each = ON_EACH.iter().flat_map(|(name, run)| {
            Kind::ALL.map(|kind| Self { name: format!("{name}, on {kind}"), run: Run::On(kind, *run) })
        });
        on_each.chain(alone).collect()
    }

    /// Do it, in this process.
    pub fn run(&self) {
        match self.run {
            Run::Alone(run) => run(),
            Run::On(kind, run) => run(kind),
        }
    }
}

const ON_EACH: &[Named<fn(Kind)>] = &[
    ("ioloop: make a loop", making::make),
    ("ioloop: one iteration", looping::turn),
    ("ioloop: add a handler", handlers::add),
    ("ioloop: update a handler", handlers::update),
    ("ioloop: pause and resume a handler", handlers::pause_and_resume),
    ("ioloop: remove a handler", handlers::remove),
    ("ioloop: add a signal handler", handlers::add_signal),
    ("ioloop: remove a signal handler", handlers::remove_signal),
    ("ioloop: wake from another thread", looping::wake),
    ("ioloop: wake by a signal", looping::signal),
    ("ioloop: add an accept handler", accepting::add),
    ("ioloop: accept clients", accepting::clients),
    ("ioloop: close", closing::close),
    ("httpserver: add a socket", http::add),
    ("httpserver: accept and answer", http::answer),
    ("httpserver: stop", http::stop),
];

const ALONE: &[Named<fn()>] = &[
    ("waker: pipe", wakers::pipe),
    ("waker: eventfd", wakers::eventfd),
    ("waker: coalesced", wakers::coalesced),
    ("waker: signal", wakers::signal),
    ("prefork: make an acceptor", accepting::acceptor),
    ("prefork: accept clients", accepting::batch),
    ("prefork: bind", accepting::bind),
    ("prefork: listen at a path", accepting::listen_at_a_path),
    ("prefork: fork and wait", processes::fork_and_wait),
    ("prefork: supervise until all are done", processes::until_done),
    ("prefork: supervise until SIGTERM", processes::until_stopped),
    ("cloexec: pass", programs::pass),
    ("process: capture", programs::capture),
];
