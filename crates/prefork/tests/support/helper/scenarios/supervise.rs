//! `supervise WHAT …`: a supervisor whose children do as they are told.
//!
//! Prints each event when it comes, `event restarted 0 4711 10`: what happened, to which task, in which process,
//! and after how many milliseconds; what the children say; and in the end `result …`, and what is left:
//! `children`, `table` (of descriptors), `mask` (of signals), and `cpu`, in microseconds.
//!
//! No child is there for longer than [`PATIENCE`], also where the code under test leaves it behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, alarm, getpid, getppid, pause, setpgid};
use prefork::supervise::{supervise, task};
use prefork::{Ended, Event, Failed, Policy};

mod children;
mod kernel;
mod orphans;
mod others;

use children::{Doing, Shared, sleep};

/// In seconds. Shorter than the helper's own.
const PATIENCE: u32 = 5;

const HOUR: Duration = Duration::from_secs(3600);

/// Run the scenario of that name.
pub fn run(what: &[&str]) -> i32 {
    let shared = Shared::new();
    match what {
        ["exits", max_restarts, scripts @ ..] => exits(max_restarts, scripts, shared),
        ["told", signal, grace, doings @ ..] => told(signal, grace, doings, shared),
        ["told-twice", second] => told_twice(second, shared),
        ["told-while-waiting"] => told_while_waiting(shared),
        ["told-together"] => told_together(shared),
        ["told-in-between"] => told_in_between(shared),
        ["ctrl-c"] => ctrl_c(shared),
        ["by-number"] => by_number(shared),
        ["gives-up", max_restarts] => gives_up(max_restarts, shared),
        ["gives-up-on", grace, signals @ ..] => gives_up_on(grace, signals, shared),
        ["pauses", pause, longest] => pauses([pause, longest], shared),
        ["two-pauses"] => two_pauses(shared),
        ["pause-over"] => pause_over(shared),
        ["forever"] => forever(shared),
        ["cores"] => cores(shared),
        ["idle"] => idle(),
        ["born-with"] => born_with(shared),
        ["inside"] => inside(),
        ["panic"] => panics(shared),
        ["no-number"] => no_number(shared),
        ["neighbours"] => others::neighbours(shared),
        ["interrupted"] => others::interrupted(shared),
        ["killed"] => return orphans::killed(),
        ["born-late"] => return orphans::born_late(),
        _ => return 2,
    }
    0
}

/// Restarts as many as you like, and at once; nobody is hurried.
fn policy(children: usize) -> Policy {
    Policy {
        children,
        max_restarts: 100,
        grace: HOUR,
        min_uptime: Duration::ZERO,
        pause: Duration::ZERO,
        max_pause: Duration::ZERO,
    }
}

/// Supervise, and print what there is to see. `also` hears of each event after it was printed.
fn observe(policy: &Policy, work: impl Fn(usize) -> i32, mut also: impl FnMut(Event)) {
    // Two signals are blocked already, of which one is the supervisor's too.
    let blocked: SigSet = [Signal::SIGUSR1, Signal::SIGINT].into_iter().collect();
    blocked.thread_block().expect("the mask can be set");
    // One that is left pending does no harm afterwards. A child has no handlers.
    let handled = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: the handler does nothing.
        unsafe { sigaction(signal, &handled) }.expect("it can be handled");
    }
    let (table, mask, caller) = (kernel::open_now(), kernel::blocked(), getpid());
    let work = |task| {
        alarm::set(PATIENCE);
        work(task)
    };
    let tell = |event| {
        println!("event {}", words(event));
        also(event);
    };
    let start = cpu();
    let result = catch_unwind(AssertUnwindSafe(|| supervise(policy, work, tell)));
    let spent = cpu() - start;
    if getpid() != caller {
        println!("escaped");
        // SAFETY: ends this process and does nothing else.
        unsafe { libc::_exit(99) }
    }
    match result {
        Ok(Ok(Ended::Done)) => println!("result done"),
        Ok(Ok(Ended::Stopped(signal))) => println!("result stopped {signal}"),
        Ok(Err(Failed::TooManyRestarts(restarts))) => println!("result too many restarts: {restarts}"),
        Ok(Err(Failed::Call(error))) => println!("result {:?}: {error}", error.errno),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            println!("result panic: {words}");
        }
    }
    println!("cpu {spent}");
    println!("children {}", children_left());
    let after = kernel::open_now();
    let only_in = |one: &[String], other: &[String]| {
        one.iter().filter(|entry| !other.contains(entry)).cloned().collect::<Vec<_>>().join(", ")
    };
    match table == after {
        true => println!("table same"),
        false => println!("table before: {}; now: {}", only_in(&table, &after), only_in(&after, &table)),
    }
    match kernel::blocked() {
        now if now == mask => println!("mask same"),
        now => println!("mask was {mask}, is {now}"),
    }
}

extern "C" fn nothing(_signal: c_int) {}

/// Of this process alone, in microseconds.
fn cpu() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process can ask about itself");
    (usage.user_time() + usage.system_time()).num_microseconds()
}

/// What the kernel has for whoever waits now. It stays there.
fn children_left() -> String {
    match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
        Err(Errno::ECHILD) => "none".into(),
        Ok(WaitStatus::StillAlive) => "one is running".into(),
        other => format!("a zombie: {other:?}"),
    }
}

fn words(event: Event) -> String {
    match event {
        Event::Started { task, pid } => format!("started {task} {pid}"),
        Event::Exited { task, pid, status } => format!("exited {task} {pid} {status}"),
        Event::Restarted { task, pid, pause } => format!("restarted {task} {pid} {}", pause.as_millis()),
        Event::Stopping { signal } => format!("stopping {signal}"),
        Event::Killed { task, pid } => format!("killed {task} {pid}"),
        Event::GaveUp { restarts } => format!("gave-up {restarts}"),
    }
}

fn tell_ourselves(signal: Signal) {
    kill(getpid(), signal).expect("a process can signal itself");
}

/// Each script has what ends a task's lives, one after the other, `2 SIGKILL 0`; 0 after the last.
fn exits(max_restarts: &str, scripts: &[&str], shared: &Shared) {
    let max_restarts = max_restarts.parse().expect("a number of restarts");
    let work = |number: usize| {
        let life = shared.next_life(number);
        println!("child {number} life {life} task {:?} parent {}", task(), getppid());
        children::end(scripts.get(number).and_then(|script| script.split(' ').nth(life)).unwrap_or("0"))
    };
    observe(&Policy { max_restarts, ..policy(scripts.len()) }, work, |_| {});
}

/// The children wait; the last of them to do so sends the signal to the supervisor. What they do then is one of
/// [`Doing`] for each.
fn told(signal: &str, grace: &str, doings: &[&str], shared: &Shared) {
    let signal: Signal = signal.parse().expect("the name of a signal");
    let grace = Duration::from_millis(grace.parse().expect("a number of milliseconds"));
    let doings: Vec<Doing> = doings.iter().map(|doing| Doing::parse(doing)).collect();
    let work = |task: usize| children::wait_to_be_told(task, &doings, Some(signal), shared);
    let also = |event| {
        if let Event::Exited { .. } = event {
            shared.let_one_end();
        }
    };
    observe(&Policy { grace, ..policy(doings.len()) }, work, also);
}

fn told_twice(second: &str, shared: &Shared) {
    let second: Signal = second.parse().expect("the name of a signal");
    let work = |task| children::wait_to_be_told(task, &[Doing::Ignores], Some(Signal::SIGTERM), shared);
    let also = |event| {
        if let Event::Stopping { .. } = event {
            tell_ourselves(second);
        }
    };
    observe(&policy(1), work, also);
}

/// The signal comes when the child has failed, and its successor is due in a second.
fn told_while_waiting(shared: &Shared) {
    let pause = Duration::from_secs(1);
    let policy = Policy { min_uptime: HOUR, pause, max_pause: pause, ..policy(1) };
    let work = |task| if shared.next_life(task) == 0 { 3 } else { 0 };
    let also = |event| {
        if let Event::Exited { .. } = event {
            tell_ourselves(Signal::SIGTERM);
        }
    };
    observe(&policy, work, also);
}

/// A child has failed, which is once too often, and the signal has come before the supervisor looks for either.
fn told_together(shared: &Shared) {
    let work = |task| match task {
        0 if shared.next_life(0) == 0 => 3,
        0 => 0,
        _ => children::wait_to_be_told(task, &[Doing::Dies, Doing::Dies], None, shared),
    };
    let mut first = None;
    let also = |event| match event {
        Event::Started { task: 0, pid } => first = Some(pid),
        Event::Started { task: 1, .. } => {
            let first = first.expect("task 0 is started before task 1");
            waitid(Id::Pid(first), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it is our child");
            tell_ourselves(Signal::SIGTERM);
        }
        _ => {}
    };
    observe(&Policy { max_restarts: 0, ..policy(2) }, work, also);
}

/// One child has ended well. When the supervisor has seen that, and has yet to look at the other one, both are sent
/// the signal, of which the other one has died by the time that it is looked at.
fn told_in_between(shared: &Shared) {
    let work = |task| match task {
        0 => 0,
        _ => children::wait_to_be_told(0, &[Doing::Dies], None, shared),
    };
    let mut other = None;
    let also = |event| match event {
        Event::Started { task: 1, pid } => other = Some(pid),
        Event::Exited { task: 0, .. } => {
            let other = other.expect("both are started before one is looked at");
            tell_ourselves(Signal::SIGTERM);
            kill(other, Signal::SIGTERM).expect("it is our child");
            waitid(Id::Pid(other), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it is our child");
        }
        _ => {}
    };
    observe(&Policy { max_restarts: 0, ..policy(2) }, work, also);
}

/// Twenty times, a signal for the whole process group, as a terminal sends it: the supervisor and three children
/// that have nothing against it. Prints `ended …` for each.
fn ctrl_c(shared: &Shared) {
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("a process may lead a group of its own");
    for round in 1..=20 {
        // Twenty supervisors are a long work where hundreds of processes share the cores.
        testing::comes_on();
        let work = |_| {
            alarm::set(PATIENCE);
            if shared.ready() == 3 * round {
                kill(Pid::from_raw(0), Signal::SIGINT).expect("a process can signal its group");
            }
            loop {
                pause();
            }
        };
        println!("ended {:?}", supervise(&Policy { max_restarts: 0, ..policy(3) }, work, |_| {}));
    }
}

/// Once the children are there, kill(2) is not permitted to this process any more.
fn by_number(shared: &Shared) {
    let doings = [Doing::EndsUntold, Doing::EndsUntold];
    let work = |task| children::wait_to_be_told(task, &doings, Some(Signal::SIGTERM), shared);
    let also = |event| {
        if let Event::Started { task: 1, .. } = event {
            kernel::forbid_kill();
        }
    };
    observe(&policy(2), work, also);
}

/// Task 0 fails until it is too much; the others take their time to end.
fn gives_up(max_restarts: &str, shared: &Shared) {
    let max_restarts = max_restarts.parse().expect("a number of restarts");
    let doings = [Doing::Ends, Doing::Ends, Doing::EndsLate];
    let work = |task| {
        if task == 0 {
            shared.wait_for_ready(2);
            return 3;
        }
        children::wait_to_be_told(task, &doings, None, shared)
    };
    let mut stopping = false;
    let also = |event| match event {
        Event::Stopping { .. } => stopping = true,
        Event::Exited { .. } if stopping => shared.let_one_end(),
        _ => {}
    };
    observe(&Policy { max_restarts, ..policy(3) }, work, also);
}

/// Task 0 fails, which is too much, and the other one does not end. If there is a signal, it comes then.
fn gives_up_on(grace: &str, signals: &[&str], shared: &Shared) {
    let grace = Duration::from_millis(grace.parse().expect("a number of milliseconds"));
    let signal: Option<Signal> = signals.first().map(|signal| signal.parse().expect("the name of a signal"));
    let work = |task| {
        if task == 0 {
            shared.wait_for_ready(1);
            return 3;
        }
        children::wait_to_be_told(task, &[Doing::Ignores; 2], None, shared)
    };
    let also = |event| {
        if let (Event::Stopping { .. }, Some(signal)) = (event, signal) {
            tell_ourselves(signal);
        }
    };
    observe(&Policy { max_restarts: 0, grace, ..policy(2) }, work, also);
}

/// Six lives that fail at once. Prints `waited MICROSECONDS` for each restart.
fn pauses(milliseconds: [&str; 2], shared: &Shared) {
    let milliseconds = milliseconds.map(|number| number.parse().expect("a number of milliseconds"));
    let [pause, max_pause] = milliseconds.map(Duration::from_millis);
    let policy = Policy { min_uptime: HOUR, pause, max_pause, ..policy(1) };
    let mut ended = Instant::now();
    let also = |event| match event {
        Event::Exited { .. } => ended = Instant::now(),
        Event::Restarted { .. } => println!("waited {}", ended.elapsed().as_micros()),
        _ => {}
    };
    observe(&policy, |task| i32::from(shared.next_life(task) < 5), also);
}

/// Task 0 fails ten times, and is to wait for half a second then; task 1 fails when it does, for the first time.
fn two_pauses(shared: &Shared) {
    let policy = Policy { min_uptime: HOUR, pause: Duration::from_millis(1), max_pause: HOUR, ..policy(2) };
    let work = |task| {
        let life = shared.next_life(task);
        if (task, life) == (1, 0) {
            shared.wait_to_end();
        }
        i32::from(life < [10, 1][task])
    };
    let mut failed = 0;
    let also = |event| {
        if let Event::Exited { task: 0, .. } = event {
            failed += 1;
            if failed == 10 {
                shared.let_one_end();
            }
        }
    };
    observe(&policy, work, also);
}

/// Four lives that fail: the third when it is no longer young, the others at once. Prints `between MILLISECONDS`
/// from one end to the next, so that a machine that was busy elsewhere can be told.
fn pause_over(shared: &Shared) {
    let [min_uptime, pause] = [300, 20].map(Duration::from_millis);
    let policy = Policy { min_uptime, pause, max_pause: HOUR, ..policy(1) };
    let work = |task| {
        let life = shared.next_life(task);
        if life == 2 {
            sleep(min_uptime + pause);
        }
        i32::from(life < 4)
    };
    let mut last = Instant::now();
    let also = |event| {
        if let Event::Exited { .. } = event {
            println!("between {}", last.elapsed().as_millis());
            last = Instant::now();
        }
    };
    observe(&policy, work, also);
}

/// As [`told_while_waiting`], with times that no clock can count.
fn forever(shared: &Shared) {
    let longest = Duration::MAX;
    let policy =
        Policy { grace: longest, min_uptime: longest, pause: longest, max_pause: longest, ..policy(2) };
    let work = |task| match task {
        0 => 3,
        _ => children::wait_to_be_told(task, &[Doing::Ends, Doing::Ends], None, shared),
    };
    let also = |event| {
        if let Event::Exited { task: 0, .. } = event {
            tell_ourselves(Signal::SIGTERM);
        }
    };
    observe(&policy, work, also);
}

/// On one core, and then on all that there are: prints `cores NUMBER` before each.
fn cores(shared: &Shared) {
    let ours = Pid::from_raw(0);
    let all = sched_getaffinity(ours).expect("a process can ask about itself");
    let first = (0..CpuSet::count()).find(|core| all.is_set(*core) == Ok(true)).expect("it runs somewhere");
    let mut one = CpuSet::new();
    one.set(first).expect("a core's number is below their count");
    for set in [one, all] {
        sched_setaffinity(ours, &set).expect("a process can be where it was");
        println!("cores {}", std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        println!("started {}", {
            let mut started = 0;
            let result = supervise(
                &policy(0),
                |_| 0,
                |event| match event {
                    Event::Started { .. } => started += 1,
                    _ => shared.let_one_end(),
                },
            );
            if result == Ok(Ended::Done) { started } else { 0 }
        });
    }
}

/// A child lives, and nothing happens.
fn idle() {
    observe(&policy(1), |_| children::idle(), |_| {});
}

/// Three children say what they have that their parent had not, and which signals are blocked. The first fails,
/// and its successor is born while the others are there. Then the parent says what it has itself, `made marked …` if
/// that is close-on-exec.
fn born_with(shared: &Shared) {
    let before = kernel::open_now();
    let work = |task| {
        let life = shared.next_life(task);
        let now = kernel::open_now();
        let extra =
            now.iter().filter(|entry| !before.contains(entry)).cloned().collect::<Vec<_>>().join(", ");
        println!("extra {task} {life} {extra}");
        println!("blocked {task} {life} {}", kernel::blocked());
        match (task, life) {
            (0, 0) => return 1,
            (0, _) => (0..2).for_each(|_| shared.let_one_end()),
            _ => shared.wait_to_end(),
        }
        0
    };
    let also = |event| {
        if let Event::Restarted { .. } = event {
            for entry in kernel::open_now().iter().filter(|entry| !before.contains(entry)) {
                println!("made {} {entry}", if kernel::is_marked(entry) { "marked" } else { "unmarked" });
            }
        }
    };
    observe(&policy(3), work, also);
}

/// A child that would have children.
fn inside() {
    let work = |_| {
        match supervise(&policy(1), |_| 0, |_| {}) {
            Err(Failed::Call(error)) => println!("inside {:?}: {error}", error.errno),
            other => println!("inside {other:?}"),
        }
        0
    };
    observe(&policy(1), work, |_| {});
}

fn panics(shared: &Shared) {
    let doings = [Doing::Ignores, Doing::Ignores];
    let work = |task| children::wait_to_be_told(task, &doings, None, shared);
    let also = |event| {
        if let Event::Started { task: 1, .. } = event {
            panic!("as it was asked to");
        }
    };
    observe(&policy(2), work, also);
}

/// More children than there can be descriptors for.
fn no_number(shared: &Shared) {
    const CHILDREN: usize = 20;
    kernel::close_all();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process can ask about itself");
    setrlimit(Resource::RLIMIT_NOFILE, 15, hard).expect("less than there was");
    let doings = [Doing::Dies; CHILDREN];
    observe(&policy(CHILDREN), |task| children::wait_to_be_told(task, &doings, None, shared), |_| {});
}
