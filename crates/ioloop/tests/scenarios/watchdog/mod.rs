//! `watchdog WHAT`: a watchdog without a loop, and code that blocks. A report is called by the name of the function
//! that blocked.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ioloop::watchdog::{Blocked, Watchdog};
use nix::libc::c_int;
use nix::sys::signal::{SigHandler, Signal, signal};

use super::support::Outcome;

mod ending;
mod inherited;
mod interrupting;
pub mod notified;
mod sharing;

/// A threshold.
const SHORT: Duration = Duration::from_millis(10);

/// Long enough for an armed alarm to fire. If the alarm is later, a wrong answer passes, and no right one fails.
const WHILE: Duration = Duration::from_millis(30);

/// A report that has not come by then does not come.
const NEVER: Duration = Duration::from_secs(6);

pub fn run(what: &str) -> Outcome {
    // A helper's alarm against hanging sends the signal that is tested here, and would be reported. So a thread looks
    // for hangs instead.
    nix::unistd::alarm::cancel();
    // By default the signal would kill this process, just as a helper's own alarm kills one that hangs.
    // SAFETY: the handler calls what signal-safety(7) permits.
    unsafe { signal(Signal::SIGALRM, SigHandler::Handler(unheard)) }?;
    let begun = Instant::now();
    thread::spawn(move || {
        loop {
            thread::sleep(WHILE);
            let (since, step) = *STEP.lock().unwrap_or_else(PoisonError::into_inner);
            if since.unwrap_or(begun).elapsed() > NEVER + NEVER / 10 {
                eprintln!("hung: {step}");
                std::process::exit(3);
            }
        }
    });
    match what {
        "caught" => caught(SHORT),
        "zero" => caught(Duration::ZERO),
        "endless" => endless(),
        "unarmed" => unarmed(),
        "once" => once(),
        "thread" => another_thread(),
        "interrupted" => interrupting::interrupted(),
        "allocations" => interrupting::allocated(),
        "errno" => interrupting::errno(),
        "timer" => interrupting::timer(),
        "blocked" => inherited::blocked(),
        "pending" => inherited::pending(),
        "foreign" | "foreign-full" => inherited::foreign(what),
        "without-a-handler" => inherited::without_a_handler(),
        "without-standard-files" => inherited::without_standard_files(),
        "interrupted-reporter" => sharing::interrupted_reporter(),
        "slow" => sharing::slow(),
        "twice" => sharing::twice(),
        "storm" => sharing::storm(),
        "restored" => ending::restored(),
        "unmarked" => ending::unmarked(),
        "at-the-last-moment" => ending::at_the_last_moment(),
        "joined" => ending::joined(),
        "last" => ending::last(),
        "notified" => notified::dropped(),
        "panicked" => ending::panicked(),
        "thrown" => ending::thrown(),
        "no-timer" | "no-thread" => ending::refused(what),
        _ => Err(format!("nothing is called {what}").into()),
    }
}

/// The signal came while no watchdog handled it.
extern "C" fn unheard(_: c_int) {
    const WORDS: &[u8] = b"SIGALRM came, and the watchdog had no handler for it\n";
    let _ = nix::unistd::write(std::io::stderr(), WORDS);
    // SAFETY: it ends the process without running anything else.
    unsafe { nix::libc::_exit(1) };
}

/// The step that runs now, and since when: a message for the case that it hangs.
static STEP: Mutex<(Option<Instant>, &str)> = Mutex::new((None, "a watchdog is made"));

fn step(what: &'static str) {
    *STEP.lock().unwrap_or_else(PoisonError::into_inner) = (Some(Instant::now()), what);
}

/// The reports, each with the thread that made it.
#[derive(Debug, Clone, Default)]
struct Reports {
    count: Arc<AtomicUsize>,
    stacks: Arc<Mutex<Vec<(ThreadId, Blocked)>>>,
}

impl Reports {
    fn add(&self, blocked: &Blocked) {
        let mut stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.push((thread::current().id(), blocked.clone()));
        drop(stacks);
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn hook(&self) -> impl FnMut(&Blocked) + Send + 'static {
        let reports = self.clone();
        move |blocked| reports.add(blocked)
    }

    fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The stack of one of them.
    fn stack(&self, number: usize) -> Vec<String> {
        let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.get(number).map(|(_, blocked)| blocked.stack.clone()).unwrap_or_default()
    }

    /// Which of these functions were in the stack?
    fn named(&self, number: usize, functions: &[&str]) -> String {
        let stack = self.stack(number);
        let in_it = |function: &&&str| stack.iter().any(|frame| frame.contains(**function));
        let named: Vec<_> = functions.iter().filter(in_it).copied().collect();
        if stack.is_empty() { "never".into() } else { named.join(" and ") }
    }
}

fn spin(done: &dyn Fn() -> bool) -> bool {
    step("code blocks");
    let start = Instant::now();
    while !done() {
        if start.elapsed() > NEVER {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    true
}

fn for_a_while() -> impl Fn() -> bool {
    let start = Instant::now();
    move || start.elapsed() > WHILE
}

/// Functions that block until a condition holds, or for long. They return whether it held.
macro_rules! blocks {
    ($($name:ident)*) => {$(
        #[inline(never)]
        fn $name(done: &dyn Fn() -> bool) -> bool {
            black_box(stringify!($name));
            black_box(spin(done))
        }
    )*};
}
blocks! { not_yet_armed watched disarmed_again armed_no_more the_main_thread meanwhile }

/// An error if the report is missing that the rest depends on.
fn needs(reported: bool) -> Outcome {
    if reported { Ok(()) } else { Err("code blocked for seconds, and no report was made".into()) }
}

fn word(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn caught(threshold: Duration) -> Outcome {
    let reports = Reports::default();
    let watch = Watchdog::new(threshold, reports.hook())?;
    watch.arm();
    println!("reported {}", word(watched(&|| reports.len() > 0)));
    watch.disarm();
    let stacks = reports.stacks.lock().unwrap_or_else(PoisonError::into_inner);
    for (thread, blocked) in stacks.iter().take(1) {
        println!("threshold {:?}", blocked.threshold);
        println!("here {}", word(*thread == thread::current().id()));
        blocked.stack.iter().for_each(|frame| println!("frame {frame}"));
    }
    Ok(())
}

fn endless() -> Outcome {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let watch = Watchdog::new(Duration::MAX, |_| ())?;
        watch.arm();
        watch.disarm();
        Ok::<_, ioloop::Error>(())
    }));
    println!("ended {}", if done.is_ok() { "well" } else { "in a panic" });
    Ok(())
}

fn unarmed() -> Outcome {
    let reports = Reports::default();
    let watch = Watchdog::new(SHORT, reports.hook())?;
    not_yet_armed(&for_a_while());
    watch.arm();
    watch.disarm();
    disarmed_again(&for_a_while());
    watch.arm();
    needs(watched(&|| reports.len() > 0))?;
    println!("first {}", reports.named(0, &["not_yet_armed", "disarmed_again", "watched"]));
    Ok(())
}

/// The alarm fires; code that blocks then is not watched until the watchdog is armed again.
fn once() -> Outcome {
    let reports = Reports::default();
    let watch = Watchdog::new(SHORT, reports.hook())?;
    watch.arm();
    needs(watched(&|| reports.len() > 0))?;
    armed_no_more(&for_a_while());
    watch.arm();
    meanwhile(&|| reports.len() > 1);
    println!("second {}", reports.named(1, &["watched", "armed_no_more", "meanwhile"]));
    Ok(())
}

fn another_thread() -> Outcome {
    let (reports, done) = (Reports::default(), Arc::new(AtomicBool::new(false)));
    let (seen, over) = (reports.clone(), Arc::clone(&done));
    let thread = thread::spawn(move || -> ioloop::Result<()> {
        let watch = Watchdog::new(SHORT, seen.hook())?;
        watch.arm();
        watched(&|| seen.len() > 0);
        over.store(true, Ordering::Release);
        Ok(())
    });
    the_main_thread(&|| done.load(Ordering::Acquire));
    thread.join().map_err(|_| "the thread panicked")??;
    println!("caught {}", reports.named(0, &["watched", "the_main_thread"]));
    Ok(())
}
