//! One handler and one slot for a stack, used by several at the same time.

use std::hint::black_box;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};

use nix::libc::{SYS_tgkill, syscall};
use nix::sys::signal::{SaFlags, SigAction, SigSet, sigaction};
use testing::proc::state;

use super::*;

/// A report takes long, and meanwhile code blocks again: is that code held up, and is it reported?
pub fn slow() -> Outcome {
    let (reports, gone_on, held_up) =
        (Reports::default(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begun, seen) = (Arc::new(AtomicUsize::new(0)), reports.clone());
    let (begins, goes_on, waits) = (Arc::clone(&begun), Arc::clone(&gone_on), Arc::clone(&held_up));
    let report = move |blocked: &Blocked| {
        if begins.fetch_add(1, AcqRel) == 0 && !spin(&|| goes_on.load(Acquire)) {
            waits.store(true, Release);
        }
        seen.add(blocked);
    };
    let watch = Watchdog::new(SHORT, report)?;
    watch.arm();
    needs(watched(&|| begun.load(Acquire) > 0))?;
    step("code blocks while a report is being made, and the report holds it up");
    watch.arm();
    let over = for_a_while();
    meanwhile(&|| {
        if over() {
            gone_on.store(true, Release);
        }
        reports.len() > 1
    });
    println!("held-up {}", word(held_up.load(Acquire)));
    println!("second {}", reports.named(1, &["watched", "meanwhile"]));
    Ok(())
}

/// A second watchdog in a process, while the first one exists, and after it was dropped.
pub fn twice() -> Outcome {
    let (first, second, third) = (Reports::default(), Reports::default(), Reports::default());
    let watch = Watchdog::new(SHORT, first.hook())?;
    match catch_unwind(AssertUnwindSafe(|| Watchdog::new(SHORT, second.hook()))) {
        Ok(Ok(_)) => println!("second Ok"),
        Ok(Err(error)) => println!("second {:?}", error.errno),
        Err(_) => println!("second panic"),
    }
    watch.arm();
    let heard = watched(&|| first.len() > 0);
    println!("first {}", word(heard));
    println!("second-hears {}", second.len());
    if !heard {
        return Ok(());
    }
    drop(watch);
    match Watchdog::new(SHORT, third.hook()) {
        Err(error) => println!("third {:?}", error.errno),
        Ok(watch) => {
            watch.arm();
            let heard = watched(&|| third.len() > 0);
            println!("third {}", if heard { "hears" } else { "does not hear" });
        }
    }
    Ok(())
}

macro_rules! side {
    ($name:ident) => {
        #[inline(never)]
        fn $name(watch: &Watchdog, deeper: usize) {
            black_box(stringify!($name));
            match deeper {
                0 => watch.arm(),
                _ => $name(watch, deeper - 1),
            }
            black_box(watch).disarm();
        }
    };
}
side!(left_side);
side!(right_side);

/// The alarm fires at once, again and again, while stacks are being read. Each reported stack must be a real one.
pub fn storm() -> Outcome {
    let reports = Reports::default();
    let watch = Watchdog::new(Duration::ZERO, reports.hook())?;
    let start = Instant::now();
    while reports.len() < 50
        && (reports.len() < 20 || start.elapsed() < 10 * WHILE)
        && start.elapsed() < NEVER
    {
        for side in [left_side, right_side] {
            step("an alarm fires at once, again and again");
            side(&watch, 50);
            // A thread that wakes up often preempts the reporter, even on one processor.
            thread::sleep(Duration::from_micros(100));
        }
    }
    println!("reports {}", if reports.len() < 20 { "few" } else { "enough" });
    for number in 0..reports.len() {
        let sides = reports.named(number, &["left_side", "right_side"]);
        if !["", "left_side", "right_side"].contains(&sides.as_str()) {
            println!("mixed {sides}");
        }
    }
    Ok(())
}

/// The threads of this process, by number.
pub fn threads() -> std::io::Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc/self/task")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The program's handler of another signal runs in each thread of the watchdog, while that thread sleeps, and then code
/// blocks. A thread may block the signal: then no handler runs.
pub fn interrupted_reporter() -> Outcome {
    static CAME: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn came(_: c_int) {
        CAME.fetch_add(1, SeqCst);
    }
    let without_restart = SigAction::new(SigHandler::Handler(came), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only increments a counter.
    unsafe { sigaction(Signal::SIGUSR1, &without_restart) }?;
    let (reports, before) = (Reports::default(), threads()?);
    let watch = Watchdog::new(SHORT, reports.hook())?;
    for thread in threads()?.into_iter().filter(|thread| !before.contains(thread)) {
        println!("sleeps {}", word(spin(&|| state(thread) == Some('S'))));
        let (over, seen) = (for_a_while(), CAME.load(SeqCst));
        // SAFETY: the call takes integers.
        unsafe { syscall(SYS_tgkill, std::process::id(), thread, Signal::SIGUSR1 as c_int) };
        spin(&|| CAME.load(SeqCst) > seen || over());
    }
    watch.arm();
    println!("reported {}", word(watched(&|| reports.len() > 0)));
    Ok(())
}
