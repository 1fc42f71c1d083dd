//! Callbacks that block a loop, each in its own way, and a watchdog that names them.

use std::cell::Cell;
use std::hint::{black_box, spin_loop};
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, timers_send_signals};
use ioloop::{Blocked, IoLoop};
use nix::sys::signal::{SigSet, Signal};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::read;

const THRESHOLD: Duration = Duration::from_millis(100);
/// How long a callback waits for what should have come by then.
const LIMIT: Duration = Duration::from_secs(20);

const QUESTION: Question = Question {
    question: "Which callbacks does a watchdog of a loop report?",
    setup: "A watchdog interrupts a loop that has worked for more than 100 ms since its last wait, and reports the stack. \
            Three callbacks run for longer than that: one computes, one reads from an empty pipe, one waits for a lock. \
            Then three hundred callbacks of 1 ms each are queued at once. Then the loop waits for 300 ms with nothing to \
            do. Which of them are reported?",
    choices: &[
        Choice::new("The one that computes: the others do not run, they wait.")
            .because("A callback that waits keeps the loop from its own wait, too: both were reported."),
        Choice::new("The first three: the three hundred are short, and a loop that waits is not blocked.")
            .because("The time counts for all that runs between two waits, and 300 ms were too long."),
        Choice::new("The first three, and one of the three hundred."),
        Choice::new("The first three, one of the three hundred, and the loop's own wait.")
            .because("The loop's own wait is not watched: 300 ms of it caused no report."),
    ],
    book: 2,
    shows: "The time counts for all that runs between two waits, and not for each callback. When it is over, the signal \
            interrupts the thread in its code or system call. Of many short callbacks, the stack names the one that runs then.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        drop(thread::Builder::new().spawn(|| ())?); // A callback that panics does not stop its loop.
        timers_send_signals()?; // The watchdog is such a timer.
        let computes = blocked(lab, "computes", compute)?;
        let reads = blocked(lab, "reads", read_a_pipe)?;
        let locks = blocked(lab, "locks", wait_for_a_lock)?;
        let named = [
            computes.contains(&"compute".to_owned()),
            reads.contains(&"read_a_pipe".to_owned()),
            locks.contains(&"wait_for_a_lock".to_owned()),
        ];
        lab.check(named == [true; 3], "each stack names the callback, which still blocks at that time");
        let many = three_hundred(lab)?;
        let asleep = asleep(lab)?;
        keeps_blocking(lab)?;
        with_the_signal_blocked(lab)?;
        match (named, many, asleep) {
            ([true, false, false], 0, 0) => Ok(0),
            ([true, true, true], 0, 0) => Ok(1),
            ([true, true, true], 1, 0) => Ok(2),
            ([true, true, true], 1, 1..) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// How a callback that blocks starts the watchdog, and learns of its report.
struct Report<'a> {
    ioloop: &'a IoLoop,
    stacks: mpsc::Sender<Vec<String>>,
    reported: Arc<AtomicBool>,
}

impl Report<'_> {
    /// Start to count now, whatever the callback did before. `then` is called when the report has come.
    fn watch(&self, then: impl FnOnce() + Send + 'static) {
        let (stacks, flag, mut then) = (self.stacks.clone(), Arc::clone(&self.reported), Some(then));
        let report = move |blocked: &Blocked| {
            stacks.send(ours(&blocked.stack)).unwrap_or_default();
            flag.store(true, Ordering::Release);
            then.take().into_iter().for_each(|then| then());
        };
        let _ = self.ioloop.set_blocking_threshold(Some(THRESHOLD), report); // An error: an empty stack.
    }
}

/// Run a callback that blocks until it was reported. Gives the stack of the report, as [`ours`] has it.
fn blocked(lab: &Lab, what: &str, block: impl FnOnce(&Report<'_>) + 'static) -> Result<Vec<String>> {
    let ioloop = IoLoop::new()?;
    let (to_main, stacks) = mpsc::channel();
    ioloop.add_callback(move |ioloop| {
        block(&Report { ioloop, stacks: to_main, reported: Arc::default() });
        ioloop.stop();
    });
    ioloop.start()?;
    ioloop.close();
    let stack = stacks.try_recv().unwrap_or_default();
    lab.note(format!("{what}: {}", stack.join(" in ")));
    Ok(stack)
}

/// Of a stack: this program's own functions, without the closures between them, and the loop's iteration.
fn ours(stack: &[String]) -> Vec<String> {
    let here = concat!(module_path!(), "::"); // a module, where all experiments are one program
    let own = |frame: &&String| frame.strip_prefix(here).is_some_and(|n| !n.contains("::") && n != "blocked");
    let ours = |frame: &&String| own(frame) || frame.as_str() == "ioloop::run_loop::iteration::turn";
    stack.iter().filter(ours).map(|frame| frame.trim_start_matches(here).to_owned()).collect()
}

#[inline(never)]
fn compute(report: &Report<'_>) {
    // ANCHOR: core
    report.watch(|| ());
    let began = Instant::now();
    while !black_box(&report.reported).load(Ordering::Acquire) && began.elapsed() < LIMIT {
        // For much longer than `elapsed` takes, so that the signal rarely interrupts that: on ARM, its stack has no names.
        (0..1000).for_each(|_| spin_loop());
    }
    // ANCHOR_END: core
}

/// Reads from a pipe that is empty until the report has come.
#[inline(never)]
fn read_a_pipe(report: &Report<'_>) {
    let Ok((reader, mut writer)) = std::io::pipe() else { return };
    report.watch(move || drop(writer.write_all(b"x")));
    let _ = black_box(read(&reader, &mut [0; 8]));
}

/// Waits for a lock that another thread holds until the report has come.
#[inline(never)]
fn wait_for_a_lock(report: &Report<'_>) {
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
    report.watch(move || let_go.send(()).unwrap_or_default());
    drop(black_box(lock.lock()));
    let _ = holder.join();
}

// ANCHOR: threshold
fn counted(ioloop: &IoLoop) -> Result<mpsc::Receiver<()>> {
    let (to_main, reports) = mpsc::channel();
    ioloop.set_blocking_threshold(Some(THRESHOLD), move |_| to_main.send(()).unwrap_or_default())?;
    Ok(reports)
}
// ANCHOR_END: threshold

/// Queue many short callbacks at once. Gives the number of reports.
fn three_hundred(lab: &Lab) -> Result<usize> {
    const MANY: usize = 300;
    let ioloop = IoLoop::new()?;
    let reports = counted(&ioloop)?;
    let longest = Rc::<Cell<Duration>>::default();
    for _ in 0..MANY {
        let longest = Rc::clone(&longest);
        ioloop.add_callback(move |_| one_millisecond().map(|took| longest.set(longest.get().max(took))));
    }
    ioloop.add_callback(IoLoop::stop);
    ioloop.start()?;
    let first = reports.recv_timeout(LIMIT).is_ok();
    ioloop.close();
    let count = usize::from(first) + reports.try_iter().count();
    let fair = (longest.get() < THRESHOLD).then_some(());
    fair.ok_or_else(|| cannot_ask("a callback of 1 ms had the processor for as long as the threshold"))?;
    lab.note(format!("{MANY} callbacks of 1 ms, queued at once; reports: {count}"));
    lab.check(longest.get() < THRESHOLD, "none of the three hundred computed for as long as the threshold");
    Ok(count)
}

/// Use the processor for a millisecond. Gives how long that was, by the thread's own time.
fn one_millisecond() -> nix::Result<Duration> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let (began, mut used) = (now()?, Duration::ZERO);
    while used < Duration::from_millis(1) {
        used = now()?.saturating_sub(began);
    }
    Ok(used)
}

/// Let a loop wait for three thresholds with nothing to do. Gives the number of reports.
fn asleep(lab: &Lab) -> Result<usize> {
    let ioloop = IoLoop::new()?;
    let reports = counted(&ioloop)?;
    ioloop.call_later(3 * THRESHOLD, IoLoop::stop);
    ioloop.start()?;
    ioloop.close();
    let count = reports.try_iter().count();
    lab.note(format!("the loop waits for {} ms; reports: {count}", (3 * THRESHOLD).as_millis()));
    Ok(count)
}

fn compute_for(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        spin_loop();
    }
}

/// A callback that keeps blocking, for much longer than the threshold, after it was reported.
fn keeps_blocking(lab: &Lab) -> Result {
    let ioloop = IoLoop::new()?;
    let reports = counted(&ioloop)?;
    let (seen, count) = mpsc::channel();
    ioloop.add_callback(move |ioloop| {
        let first = reports.recv_timeout(LIMIT).is_ok();
        compute_for(3 * THRESHOLD);
        let _ = seen.send(usize::from(first) + reports.try_iter().count());
        ioloop.stop();
    });
    ioloop.start()?;
    let count = count.try_recv()?;
    lab.note(format!("a callback blocks for 300 ms more after its report; reports in all: {count}"));
    lab.check(count == 1, "a callback that keeps blocking is reported once");
    Ok(())
}

/// A callback that runs with the signal blocked: it is pending, and interrupts nothing.
fn with_the_signal_blocked(lab: &Lab) -> Result {
    let ioloop = IoLoop::new()?;
    let reports = counted(&ioloop)?;
    let (seen, counts) = mpsc::channel();
    let alarm = SigSet::from(Signal::SIGALRM);
    alarm.thread_block()?;
    ioloop.add_callback(move |ioloop| {
        compute_for(3 * THRESHOLD);
        let before = reports.try_iter().count();
        alarm.thread_unblock()?;
        let _ = seen.send((before, usize::from(reports.recv_timeout(LIMIT).is_ok())));
        ioloop.stop();
        nix::Result::Ok(())
    });
    ioloop.start()?;
    let (before, after) = counts.try_recv()?;
    lab.note(format!("a callback blocks SIGALRM for 300 ms; reports: {before}; after it: {after}"));
    lab.check((before, after) == (0, 1), "a callback that blocks the signal is reported when it unblocks it");
    Ok(())
}
