//! Callbacks that keep a loop from its sleep, each in its own way, and a watch that says which.

use std::cell::{Cell, RefCell};
use std::hint::{black_box, spin_loop};
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Lab, Question, Result, ask};
use ioloop::{Blocked, IoLoop};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{pipe, read};

const MS: Duration = Duration::from_millis(1);
const THRESHOLD: Duration = Duration::from_millis(50);
/// How long a callback waits for what should have come by then.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    ask(
        Question {
            question: "A loop is watched: whoever keeps it from its next sleep for longer than 50 ms is interrupted by \
                       a timer's signal, and reported with the stack. One callback computes, one reads from an empty \
                       pipe, one waits for a lock. Then two hundred callbacks are queued that take 1 ms each; and then \
                       the loop has nothing to do for 150 ms. Who is reported?",
            choices: &[
                "The one that computes: the others do not run, they wait.",
                "The first three. No callback of the two hundred takes long, and a loop that waits is not blocked.",
                "The first three, and one of the two hundred.",
                "The first three, one of the two hundred, and the loop's own wait.",
            ],
            book: 2,
            shows: "The watch is for the time from one sleep to the next. It interrupts whatever runs when that is over: \
                    code, or a system call. So the stack says where the time was up, and not who has used it: of many \
                    short callbacks it names one.",
            lane: "loop",
            roles: &[],
        },
        |lab| {
            lab.note("watch it, with a threshold of 50 ms");
            let computes = blocked(lab, "computes", |it| compute(&it.reported))?;
            let reads = blocked(lab, "reads", |it| read_a_pipe(it))?;
            let locks = blocked(lab, "waits for a lock", |it| wait_for_a_lock(it))?;
            let named = [
                computes.contains(&"compute".to_owned()),
                reads.contains(&"read_a_pipe".to_owned()),
                locks.contains(&"wait_for_a_lock".to_owned()),
            ];
            lab.check(named == [true; 3], "while each of them still blocks, the stack that is reported names it");
            let many = two_hundred(lab)?;
            let asleep = asleep(lab)?;
            once(lab)?;
            not_before(lab)?;
            match (named, many, asleep) {
                ([true, false, false], 0, 0) => Ok(0),
                ([true, true, true], 0, 0) => Ok(1),
                ([true, true, true], 1, 0) => Ok(2),
                ([true, true, true], 1, 1..) => Ok(3),
                other => Err(format!("none of the choices: {other:?}").into()),
            }
        },
    )
}

/// What a callback that blocks has of its report.
struct Report {
    reported: Arc<AtomicBool>,
    /// Does something when the report has come, in the reporter's thread.
    then: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

/// Run a callback that blocks until it was reported. The names of the experiment's own functions in that stack, the
/// innermost first.
fn blocked(lab: &Lab, what: &str, block: impl FnOnce(&Report) + 'static) -> Result<Vec<String>> {
    let (ioloop, reported) = (IoLoop::new()?, Arc::<AtomicBool>::default());
    let (then, thens) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let (to_main, stacks) = mpsc::channel();
    let flag = Arc::clone(&reported);
    ioloop.set_blocking_threshold(Some(THRESHOLD), move |blocked: &Blocked| {
        let _ = to_main.send(ours(&blocked.stack));
        flag.store(true, Ordering::Release);
        thens.try_iter().for_each(|then| then());
    })?;
    ioloop.add_callback(move |ioloop| {
        block(&Report { reported, then });
        ioloop.stop();
    });
    ioloop.start()?;
    ioloop.close();
    let stack = stacks.try_recv().unwrap_or_default();
    lab.note(format!("a callback that {what}; the stack: {}", stack.join(", called by ")));
    Ok(stack)
}

/// Of a stack, this program's own functions, without the closures between them.
fn ours(stack: &[String]) -> Vec<String> {
    let names = stack.iter().filter_map(|frame| frame.strip_prefix("blocked_loop::"));
    names.filter(|name| !name.contains("::")).map(|name| name.to_owned()).collect()
}

#[inline(never)]
fn compute(until: &AtomicBool) {
    let began = Instant::now();
    while !black_box(until).load(Ordering::Acquire) && began.elapsed() < LIMIT {
        spin_loop();
    }
}

/// Reads from a pipe that is empty until the report has come.
#[inline(never)]
fn read_a_pipe(report: &Report) {
    let Ok((reader, mut writer)) = std::io::pipe() else { return };
    let _ = report.then.send(Box::new(move || {
        let _ = writer.write_all(b"x");
    }));
    let _ = black_box(read(&reader, &mut [0; 8]));
}

/// Waits for a lock that another thread holds until the report has come.
#[inline(never)]
fn wait_for_a_lock(report: &Report) {
    let lock = Arc::<Mutex<()>>::default();
    let (to_here, held) = mpsc::channel();
    let (let_go, told) = mpsc::channel();
    let theirs = Arc::clone(&lock);
    let holder = thread::spawn(move || {
        let _guard = theirs.lock();
        let _ = to_here.send(());
        let _ = told.recv_timeout(LIMIT);
    });
    let _ = held.recv();
    let _ = report.then.send(Box::new(move || {
        let _ = let_go.send(());
    }));
    drop(black_box(lock.lock()));
    let _ = holder.join();
}
