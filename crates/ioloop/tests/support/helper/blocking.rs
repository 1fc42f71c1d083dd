//! `blocking WHAT`: a watch without a loop, and code that blocks. What it reported is called by the name of the
//! function that was blocking.

use std::hint::black_box;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ioloop::blocking::{Blocked, Watch};
use nix::errno::Errno;
use nix::unistd::read;

use super::super::counting::allocations;
use super::Outcome;

mod ending;
mod sharing;

/// A threshold.
const SHORT: Duration = Duration::from_millis(10);

/// So long that an alarm that is armed has gone off. If it has not, a wrong answer passes, and no right one fails.
const WHILE: Duration = Duration::from_millis(100);

/// What has not come by then does not come. The alarm of a helper is the one that is tested here.
const NEVER: Duration = Duration::from_secs(6);

pub fn run(what: &str) -> Outcome {
    thread::spawn(|| {
        thread::sleep(NEVER + Duration::from_secs(1));
        let step = *STEP.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("hung: {step}");
        std::process::exit(3);
    });
    match what {
        "caught" => caught(SHORT),
        "zero" => caught(Duration::ZERO),
        "endless" => endless(),
        "unarmed" => unarmed(),
        "once" => once(),
        "thread" => another_thread(),
        "interrupted" => interrupted(),
        "allocations" => allocated(),
        "errno" => errno(),
        "slow" => sharing::slow(),
        "twice" => sharing::twice(),
        "storm" => sharing::storm(),
        "restored" => ending::restored(),
        "joined" => ending::joined(),
        "last" => ending::last(),
        "panicked" => ending::panicked(),
        "no-timer" | "no-thread" => ending::refused(what),
        _ => Err(format!("nothing is called {what}").into()),
    }
}

/// What is done now, for whoever hangs.
static STEP: Mutex<&str> = Mutex::new("nothing was done");

fn step(what: &'static str) {
    *STEP.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// What was reported, and in which thread.
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

    /// Which of these functions were in it?
    fn named(&self, number: usize, functions: &[&str]) -> String {
        let stack = self.stack(number);
        let in_it = |function: &&&str| stack.iter().any(|frame| frame.contains(**function));
        let named: Vec<_> = functions.iter().filter(in_it).copied().collect();
        if stack.is_empty() { "never".into() } else { named.join(" and ") }
    }
}

fn spin(done: &dyn Fn() -> bool) -> bool {
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

/// Functions that block until something is so, or for long. Was it?
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

fn word(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn caught(threshold: Duration) -> Outcome {
    let reports = Reports::default();
    let watch = Watch::new(threshold, reports.hook())?;
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
        let watch = Watch::new(Duration::MAX, |_| ())?;
        watch.arm();
        watch.disarm();
        Ok::<_, ioloop::Error>(())
    }));
    println!("ended {}", if done.is_ok() { "well" } else { "in a panic" });
    Ok(())
}

fn unarmed() -> Outcome {
    let reports = Reports::default();
    let watch = Watch::new(SHORT, reports.hook())?;
    not_yet_armed(&for_a_while());
    watch.arm();
    watch.disarm();
    disarmed_again(&for_a_while());
    watch.arm();
    watched(&|| reports.len() > 0);
    println!("first {}", reports.named(0, &["not_yet_armed", "disarmed_again", "watched"]));
    Ok(())
}

/// It goes off, and what comes then is not watched, until it is armed once more.
fn once() -> Outcome {
    let reports = Reports::default();
    let watch = Watch::new(SHORT, reports.hook())?;
    watch.arm();
    watched(&|| reports.len() > 0);
    armed_no_more(&for_a_while());
    watch.arm();
    watched(&|| reports.len() > 1);
    println!("second {}", reports.named(1, &["watched", "armed_no_more"]));
    Ok(())
}

fn another_thread() -> Outcome {
    let (reports, done) = (Reports::default(), Arc::new(AtomicBool::new(false)));
    let (seen, over) = (reports.clone(), Arc::clone(&done));
    let thread = thread::spawn(move || -> ioloop::Result<()> {
        let watch = Watch::new(SHORT, seen.hook())?;
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

/// What sleeps in a call blocks no less. Its report ends the sleep.
fn interrupted() -> Outcome {
    let (reader, mut writer) = std::io::pipe()?;
    let watch = Watch::new(SHORT, move |_| writer.write_all(b"x").expect("somebody reads"))?;
    step("code sleeps in read(2) until it is reported. Does the time of one who sleeps count?");
    watch.arm();
    println!("read {:?}", read(&reader, &mut [0; 8]));
    Ok(())
}

fn allocated() -> Outcome {
    let reports = Reports::default();
    let watch = Watch::new(SHORT, reports.hook())?;
    let before = allocations();
    watch.arm();
    let reported = watched(&|| reports.len() > 0);
    println!("allocations {}", allocations() - before);
    println!("reported {}", word(reported));
    Ok(())
}

/// What the handler writes to cannot be written any more.
fn errno() -> Outcome {
    let before = descriptors()?;
    let watch = Watch::new(SHORT, |_| ())?;
    let null = std::fs::File::open("/dev/null")?;
    for number in descriptors()?.into_iter().filter(|number| !before.contains(number)) {
        // SAFETY: the descriptor is the watch's, which is never used again but by its handler.
        unsafe { nix::unistd::dup2_raw(&null, number) }.map(std::mem::forget)?;
    }
    watch.arm();
    Errno::E2BIG.set();
    let done = for_a_while();
    while !done() {}
    println!("errno {:?}", Errno::last());
    // It could not be told any more.
    std::mem::forget(watch);
    Ok(())
}

fn descriptors() -> std::io::Result<Vec<i32>> {
    let numbers = std::fs::read_dir("/proc/self/fd")?;
    Ok(numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}
