//! A handler that removes itself while it runs, in a loop that takes it out of its table for the call, and in one that
//! shares it with the table.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;

use experiments::{Choice, Lab, Lane, Question, Result, ask};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

/// The number of the only handler.
const NUMBER: u64 = 1;
/// How many iterations a loop makes.
const ITERATIONS: usize = 10;

const QUESTION: Question = Question {
    question: "How often is a handler called that removes itself, and when is its connection closed?",
    setup: "A handler owns its connection. In its first call it removes itself, and then it writes a line to the \
            log. The connection stays ready. One loop calls a handler by taking it out of the table, calling it, \
            and putting it back; another loop keeps it in the table and calls it through a second Rc. What \
            happens in ten iterations?",
    choices: &[
        Choice::new(
            "Both call it once. The connection is closed by the removal, before the line is written.",
        )
        .because("While a handler runs, the loop that calls it owns it too: a removal could not close it."),
        Choice::new(
            "The first loop calls it ten times. The second calls it once, and closes the connection when the \
             call has returned.",
        ),
        Choice::new("Both call it once, and close the connection when the call has returned.")
            .because("The first loop put the handler back after the call, so the removal was undone."),
        Choice::new("Both call it ten times: a handler that runs cannot be removed.")
            .because("In the second loop the removal took effect during the call: the table dropped its Rc, and the loop did not find the handler again."),
    ],
    book: 1,
    shows: "If a loop takes a handler out of the table for the call, a removal during the call finds nothing, and then \
            the loop puts the handler back. With a second Rc the removal takes effect at once, and the closure with \
            all that it owns lives until the call has returned.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let calls: [(&str, Call); 2] =
            [("taken out and put back", take_out), ("called through a second Rc", share)];
        let mut seen = Vec::new();
        for (number, (name, call)) in (1..).zip(calls) {
            lab.note(format!("loop {number}: the handler is {name}"));
            let ran = run(lab, call)?;
            lab.note(format!("loop {number}: {} in {ITERATIONS} iterations", calls_of(ran.calls)));
            seen.push(ran);
        }
        lab.check(
            seen.iter().all(|ran| ran.open_at_the_line),
            "the connection is open when the handler writes its line, after the removal",
        );
        lab.check(
            !seen[0].closed && seen[1].closed,
            "only the second loop closes the connection: the first put its handler back",
        );
        match (seen[0].calls, seen[1].calls) {
            (1, 1) if !seen[1].open_at_the_line => Ok(0),
            (ITERATIONS, 1) => Ok(1),
            (1, 1) => Ok(2),
            (ITERATIONS, ITERATIONS) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

fn calls_of(calls: usize) -> String {
    format!("{calls} {}", if calls == 1 { "call" } else { "calls" })
}

type Handler = dyn Fn(&Table);

/// The handlers of a loop, by number.
#[derive(Default)]
struct Table(RefCell<BTreeMap<u64, Rc<Handler>>>);

impl Table {
    fn get(&self, number: u64) -> Option<Rc<Handler>> {
        self.0.borrow().get(&number).cloned()
    }

    fn put(&self, number: u64, handler: Rc<Handler>) {
        self.0.borrow_mut().insert(number, handler);
    }

    fn remove(&self, number: u64) -> Option<Rc<Handler>> {
        self.0.borrow_mut().remove(&number)
    }
}

/// How a loop calls a handler.
type Call = fn(&Table);

// ANCHOR: core
fn take_out(table: &Table) {
    let Some(handler) = table.remove(NUMBER) else { return };
    handler(table);
    table.put(NUMBER, handler);
}

fn share(table: &Table) {
    let Some(handler) = table.get(NUMBER) else { return };
    handler(table);
}
// ANCHOR_END: core

/// What a loop did.
struct Ran {
    calls: usize,
    /// Was the connection open when the handler wrote its line?
    open_at_the_line: bool,
    /// Is the connection closed at the end?
    closed: bool,
}

/// A connection that notes when it is closed.
struct Connection {
    _pipe: OwnedFd,
    closed: Rc<Cell<bool>>,
    lane: Lane,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.closed.set(true);
        self.lane.note("the connection is closed");
    }
}

fn run(lab: &Lab, call: Call) -> Result<Ran> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, b"x")?;
    let (calls, closed, open) =
        (Rc::<Cell<usize>>::default(), Rc::<Cell<bool>>::default(), Rc::new(Cell::new(true)));
    let connection =
        Connection { _pipe: reader.try_clone()?, closed: Rc::clone(&closed), lane: (**lab).clone() };
    let (counted, of_line, lane) = (Rc::clone(&calls), Rc::clone(&open), (**lab).clone());
    let table = Table::default();
    table.put(
        NUMBER,
        Rc::new(move |table| {
            counted.set(counted.get() + 1);
            if counted.get() == 1 {
                lane.note("the handler removes itself");
                drop(table.remove(NUMBER));
                of_line.set(!connection.closed.get());
                lane.note("the handler writes its line");
            }
        }),
    );
    for _ in 0..ITERATIONS {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::ZERO)? == 1 {
            call(&table);
        }
    }
    let ran = Ran { calls: calls.get(), open_at_the_line: open.get(), closed: closed.get() };
    lab.note("the loop ends, and drops its table");
    drop(table);
    Ok(ran)
}
