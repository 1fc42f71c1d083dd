//! `supervise WHAT …`: run a supervisor whose children behave as the scenario says.
//!
//! Prints each event when it happens, `event restarted 0 4711 10` (the event, the task, the process id, and the pause
//! in milliseconds); what the children print; and at the end `result …` and what is left: `children`, `table` (of
//! descriptors), and `mask` (of blocked signals).
//!
//! No child lives longer than [`PATIENCE`], even if the code under test leaves it behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, alarm, getpid, getppid, pause, setpgid};
use prefork::supervise::{supervise, task};
use prefork::{Ended, Event, Failed, Policy};

mod children;
mod kernel;
mod orphans;
mod others;
mod watch;

use super::support::helper::children::await_sleep;
use children::{Reaction, Shared, sleep};
pub use watch::watched;

/// Every child's alarm, in seconds. It is shorter than the helper's own.
const PATIENCE: u32 = 5;

const HOUR: Duration = Duration::from_secs(3600);

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(what: &[&str]) -> i32 {
    let shared = Shared::new();
    match what {
        ["exits", max_restarts, scripts @ ..] => exits(max_restarts, scripts, shared),
        ["signal", signal, grace, reactions @ ..] => forward(signal, grace, reactions, shared),
        ["two-signals", second] => two_signals(second, shared),
        ["signal-in-pause", pause] => signal_in_pause(pause, shared),
        ["signal-and-exit"] => signal_and_exit(shared),
        ["signal-between-exits", exited] => signal_between_exits(exited, shared),
        ["signal-before-the-last-exit"] => signal_before_the_last_exit(shared),
        ["third-signal"] => third_signal(shared),
        ["no-sigterm"] => no_sigterm(shared),
        ["many-restarts"] => many_restarts(shared),
        ["ctrl-c"] => ctrl_c(shared),
        ["without-kill"] => without_kill(shared),
        ["gives-up", max_restarts] => gives_up(max_restarts, shared),
        ["gives-up-on", grace, signals @ ..] => gives_up_on(grace, signals, shared),
        ["fail-in-one-pause"] => fail_in_one_pause(shared),
        ["pauses", pause, longest] => pauses([pause, longest], shared),
        ["many-pauses"] => many_pauses(shared),
        ["two-pauses"] => two_pauses(shared),
        ["long-life"] => long_life(shared),
        ["forever"] => forever(shared),
        ["no-min-uptime"] => no_min_uptime(shared),
        ["twice"] => twice(shared),
        ["cores"] => cores(shared),
        ["idle"] => idle(shared),
        ["idle-while-stopping"] => idle_while_stopping(shared),
        ["inherited"] => inherited(shared),
        ["inside"] => inside(),
        ["panic", when] => panics(when, shared),
        ["no-descriptor", limit] => no_descriptor(limit, shared),
        ["no-descriptor-for-a-restart", reaction, grace, signals @ ..] => {
            no_descriptor_for_a_restart(reaction, grace, signals, shared);
        }
        ["ignored", signal] => ignored(signal, shared),
        ["pid-namespace"] => return others::pid_namespace(),
        ["lifeline-is-cut", whose] => return orphans::lifeline_is_cut(whose),
        ["other-children"] => others::other_children(shared),
        ["interrupted"] => others::interrupted(shared),
        ["nothing-permitted"] => nothing_permitted(),
        ["no-sleep"] => no_sleep(),
        ["reaped-elsewhere"] => reaped_elsewhere(shared),
        ["no-sigkill"] => no_sigkill(shared),
        ["killed", children] => return orphans::killed(children, shared),
        ["parent-died", copies] => return orphans::parent_died(copies),
        _ => return 2,
    }
    0
}

/// A policy with many restarts, no pauses, and a grace period of an hour.
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

/// Supervise, and print what happens. `also` gets each event after it was printed.
fn observe(policy: &Policy, work: impl Fn(usize) -> i32, mut also: impl FnMut(Event)) {
    // Block two signals beforehand, one of which the supervisor blocks as well.
    let blocked: SigSet = [Signal::SIGUSR1, Signal::SIGINT].into_iter().collect();
    blocked.thread_block().expect("the mask can be set");
    // A signal that is still pending when the mask is restored runs this handler. The children do not inherit it.
    let handled = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: the handler does nothing.
        unsafe { sigaction(signal, &handled) }.expect("sigaction can set a handler");
    }
    let (table, mask, caller) = (kernel::open_now(), kernel::blocked(), getpid());
    let work = |task| {
        alarm::set(PATIENCE);
        work(task)
    };
    let on_event = |event| {
        println!("event {}", words(event));
        also(event);
    };
    let result = catch_unwind(AssertUnwindSafe(|| supervise(policy, work, on_event)));
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
    println!("children {}", children_left());
    println!("task {:?}", task());
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

/// What a wait for any child would return now. Nothing is reaped.
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

fn signal_self(signal: Signal) {
    kill(getpid(), signal).expect("a process can signal itself");
}

/// Each script says how the children of one task exit, one after the other: `2 SIGKILL 0`. Later children exit with 0.
fn exits(max_restarts: &str, scripts: &[&str], shared: &Shared) {
    let max_restarts = max_restarts.parse().expect("a number of restarts");
    let work = |number: usize| {
        let life = shared.next_life(number);
        println!("child {number} life {life} task {:?} parent {}", task(), getppid());
        children::end(scripts.get(number).and_then(|script| script.split(' ').nth(life)).unwrap_or("0"))
    };
    observe(&Policy { max_restarts, ..policy(scripts.len()) }, work, |_| {});
}

/// The children wait for a signal, and the last of them to be ready sends it to the supervisor. Then each child reacts
/// as its [`Reaction`] says.
fn forward(signal: &str, grace: &str, reactions: &[&str], shared: &Shared) {
    let signal: Signal = signal.parse().expect("the name of a signal");
    let grace = Duration::from_millis(grace.parse().expect("a number of milliseconds"));
    let reactions: Vec<Reaction> = reactions.iter().map(|reaction| Reaction::parse(reaction)).collect();
    let work = |task: usize| children::wait_for_signal(task, &reactions, Some(signal), shared);
    let also = |event| {
        if let Event::Exited { .. } = event {
            shared.release_one();
        }
    };
    observe(&Policy { grace, ..policy(reactions.len()) }, work, also);
}

fn two_signals(second: &str, shared: &Shared) {
    let second: Signal = second.parse().expect("the name of a signal");
    let work = |task| children::wait_for_signal(task, &[Reaction::Ignores], Some(Signal::SIGTERM), shared);
    let also = |event| {
        if let Event::Stopping { .. } = event {
            signal_self(second);
        }
    };
    observe(&policy(1), work, also);
}

/// Task 0 has failed, and its restart is due after a pause of so many milliseconds. When the supervisor sleeps, task 1
/// sends it the signal.
fn signal_in_pause(pause: &str, shared: &Shared) {
    let pause = Duration::from_millis(pause.parse().expect("a number of milliseconds"));
    signal_in_this_pause(Policy { min_uptime: HOUR, pause, max_pause: pause, ..policy(2) }, shared);
}

fn signal_in_this_pause(policy: Policy, shared: &Shared) {
    let work = |task| match task {
        0 if shared.next_life(0) == 0 => 3,
        0 => 0,
        _ => {
            shared.wait_for_release();
            await_sleep(getppid());
            kill(getppid(), Signal::SIGTERM).expect("the supervisor is running");
            0
        }
    };
    let also = |event| {
        if let Event::Exited { task: 0, .. } = event {
            shared.release_one();
        }
    };
    observe(&policy, work, also);
}

/// A child has failed once too often, and the signal is pending, before the supervisor looks for either.
fn signal_and_exit(shared: &Shared) {
    let work = |task| match task {
        0 if shared.next_life(0) == 0 => 3,
        0 => 0,
        _ => children::wait_for_signal(task, &[Reaction::Dies, Reaction::Dies], None, shared),
    };
    let mut first = None;
    let also = |event| match event {
        Event::Started { task: 0, pid } => first = Some(pid),
        Event::Started { task: 1, .. } => {
            await_exit(first.expect("task 0 is started before task 1"));
            signal_self(Signal::SIGTERM);
        }
        _ => {}
    };
    observe(&Policy { max_restarts: 0, ..policy(2) }, work, also);
}

/// So many children have exited with 0. When the supervisor has handled the last of these exits, and before it looks at
/// the remaining child, both the supervisor and that child are sent SIGTERM, which kills that child.
fn signal_between_exits(exited: &str, shared: &Shared) {
    let exited: usize = exited.parse().expect("a number of children");
    let work = |task| match task {
        _ if task < exited => 0,
        _ => children::wait_for_signal(0, &[Reaction::Dies], None, shared),
    };
    let mut children = Vec::new();
    let also = |event| match event {
        Event::Started { pid, .. } => {
            children.push(pid);
            if children.len() > exited {
                children[..exited].iter().for_each(|child| await_exit(*child));
            }
        }
        Event::Exited { task, .. } if task + 1 == exited => {
            signal_self(Signal::SIGTERM);
            kill(children[exited], Signal::SIGTERM).expect("it is a child");
            await_exit(children[exited]);
        }
        _ => {}
    };
    observe(&Policy { max_restarts: 0, ..policy(exited + 1) }, work, also);
}

/// Both children exit with 0. When the supervisor has handled the exit of the first, SIGTERM is sent to the supervisor alone,
/// and then the second one exits.
fn signal_before_the_last_exit(shared: &Shared) {
    let work = |task| {
        if task == 1 {
            shared.wait_for_release();
        }
        0
    };
    let mut last = None;
    let also = |event| match event {
        Event::Started { task: 1, pid } => last = Some(pid),
        Event::Exited { task: 0, .. } => {
            signal_self(Signal::SIGTERM);
            shared.release_one();
            await_exit(last.expect("both children are started before either is reaped"));
        }
        _ => {}
    };
    observe(&policy(2), work, also);
}

/// The supervisor's signals do not reach the child, as if it took a while to die. Another signal comes when the child was
/// killed. The child exits a moment after that.
fn third_signal(shared: &Shared) {
    let work = |_| {
        shared.wait_for_release();
        sleep(Duration::from_millis(200));
        0
    };
    let mut killed = 0;
    let also = |event| match event {
        Event::Started { .. } => {
            kernel::pretend(&[libc::SYS_pidfd_send_signal]);
            signal_self(Signal::SIGTERM);
        }
        Event::Stopping { .. } => signal_self(Signal::SIGTERM),
        Event::Killed { .. } => {
            killed += 1;
            if killed == 1 {
                signal_self(Signal::SIGINT);
                shared.release_one();
            }
        }
        _ => {}
    };
    observe(&policy(1), work, also);
}

/// The child may not be signaled. It exits by itself when the supervisor stops.
fn no_sigterm(shared: &Shared) {
    let work = |_| {
        shared.wait_for_release();
        0
    };
    let also = |event| match event {
        Event::Started { .. } => {
            signal_self(Signal::SIGTERM);
            kernel::forbid(&[libc::SYS_pidfd_send_signal, libc::SYS_kill]);
        }
        Event::Stopping { .. } => shared.release_one(),
        _ => {}
    };
    observe(&policy(1), work, also);
}

/// A child fails ten times. Prints `open NUMBER` after each restart: how many descriptors the supervisor has.
fn many_restarts(shared: &Shared) {
    let also = |event| {
        if let Event::Restarted { .. } = event {
            println!("open {}", kernel::open_now().len());
        }
    };
    observe(&policy(1), |task| i32::from(shared.next_life(task) < 10), also);
}

/// Wait until a child has exited or was killed, without reaping it.
fn await_exit(child: Pid) {
    waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it is a child");
}

/// Two children have failed before the supervisor looks at either. One restart is allowed.
fn fail_in_one_pause(shared: &Shared) {
    let pause = Duration::from_millis(1);
    let policy = Policy { max_restarts: 1, min_uptime: HOUR, pause, max_pause: pause, ..policy(2) };
    let mut children = Vec::new();
    let also = |event| {
        if let Event::Started { pid, .. } = event {
            children.push(pid);
            if children.len() == 2 {
                children.iter().for_each(|child| await_exit(*child));
            }
        }
    };
    observe(&policy, |task| if shared.next_life(task) == 0 { 3 } else { 0 }, also);
}

/// Twenty times, signal the whole process group, as a terminal does: the supervisor and three children, which SIGINT
/// kills. Prints `ended …` for each round.
fn ctrl_c(shared: &Shared) {
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("a process may create its own process group");
    for round in 1..=20 {
        // On a busy machine, twenty supervisors take longer than the helper's alarm allows.
        testing::comes_on();
        let work = |_| {
            alarm::set(PATIENCE);
            if shared.ready() == 3 * round {
                kill(Pid::from_raw(0), Signal::SIGINT).expect("a process can signal its process group");
            }
            loop {
                pause();
            }
        };
        println!("ended {:?}", supervise(&Policy { max_restarts: 0, ..policy(3) }, work, |_| {}));
    }
}

/// Once the children exist, kill(2) fails in this process.
fn without_kill(shared: &Shared) {
    let reactions = [Reaction::ExitsUnsignaled, Reaction::ExitsUnsignaled];
    let work = |task| children::wait_for_signal(task, &reactions, Some(Signal::SIGTERM), shared);
    let also = |event| {
        if let Event::Started { task: 1, .. } = event {
            kernel::forbid(&[libc::SYS_kill]);
        }
    };
    observe(&policy(2), work, also);
}

/// The children may ask for no signal at their parent's death.
fn nothing_permitted() {
    kernel::forbid(&[libc::SYS_prctl, libc::SYS_fcntl]);
    let work = |_| {
        println!("worked");
        0
    };
    observe(&Policy { max_restarts: 0, ..policy(1) }, work, |_| {});
}

/// The call that sleeps fails, once the child runs. Only SIGKILL ends that.
fn no_sleep() {
    let mut calls = vec![libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2];
    #[cfg(target_arch = "x86_64")]
    calls.extend([libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait]);
    let work = |_| {
        loop {
            pause();
        }
    };
    let also = |event| {
        if let Event::Started { .. } = event {
            kernel::forbid(&calls);
        }
    };
    observe(&Policy { max_restarts: 0, ..policy(1) }, work, also);
}

/// `on_event` reaps a child, which is the supervisor's. Another child runs, and ignores SIGTERM.
fn reaped_elsewhere(shared: &Shared) {
    let work = |task| match task {
        0 => children::wait_for_signal(task, &[Reaction::Ignores], None, shared),
        _ => 0,
    };
    let also = |event| match event {
        Event::Started { task: 0, .. } => shared.wait_for_ready(1),
        Event::Started { pid, .. } => {
            println!("reaped {:?}", waitid(Id::Pid(pid), WaitPidFlag::WEXITED).is_ok());
        }
        _ => {}
    };
    observe(&policy(2), work, also);
}

/// At the end of the grace period the child may not be signaled. It ends when it is released, or with its lifeline.
fn no_sigkill(shared: &Shared) {
    let work = |_| {
        shared.wait_for_release();
        0
    };
    let also = |event| match event {
        Event::Started { .. } => {
            signal_self(Signal::SIGTERM);
            kernel::forbid(&[libc::SYS_pidfd_send_signal, libc::SYS_kill]);
        }
        // A supervisor that does not notice sleeps until the child exits.
        Event::Killed { .. } => shared.release_one(),
        _ => {}
    };
    observe(&Policy { grace: Duration::from_millis(20), ..policy(1) }, work, also);
}

/// Task 0 fails once too often. One of the others exits late.
fn gives_up(max_restarts: &str, shared: &Shared) {
    let max_restarts = max_restarts.parse().expect("a number of restarts");
    let reactions = [Reaction::Exits, Reaction::Exits, Reaction::ExitsLate];
    let work = |task| {
        if task == 0 {
            shared.wait_for_ready(2);
            return 3;
        }
        children::wait_for_signal(task, &reactions, None, shared)
    };
    let mut stopping = false;
    let also = |event| match event {
        Event::Stopping { .. } => stopping = true,
        Event::Exited { .. } if stopping => shared.release_one(),
        _ => {}
    };
    observe(&Policy { max_restarts, ..policy(3) }, work, also);
}

/// Task 0 fails once too often, and the other child ignores signals. `signals` may name one to send to the supervisor
/// when it starts stopping.
fn gives_up_on(grace: &str, signals: &[&str], shared: &Shared) {
    let grace = Duration::from_millis(grace.parse().expect("a number of milliseconds"));
    let signal: Option<Signal> = signals.first().map(|signal| signal.parse().expect("the name of a signal"));
    let work = |task| {
        if task == 0 {
            shared.wait_for_ready(1);
            return 3;
        }
        children::wait_for_signal(task, &[Reaction::Ignores; 2], None, shared)
    };
    let also = |event| {
        if let (Event::Stopping { .. }, Some(signal)) = (event, signal) {
            signal_self(signal);
        }
    };
    observe(&Policy { max_restarts: 0, grace, ..policy(2) }, work, also);
}

/// Five children fail at once, and the sixth succeeds. Prints `waited MICROSECONDS` for each restart.
fn pauses(milliseconds: [&str; 2], shared: &Shared) {
    let milliseconds = milliseconds.map(|number| number.parse().expect("a number of milliseconds"));
    let [pause, max_pause] = milliseconds.map(Duration::from_millis);
    let policy = Policy { min_uptime: HOUR, pause, max_pause, ..policy(1) };
    let mut exited = Instant::now();
    let also = |event| match event {
        Event::Exited { .. } => exited = Instant::now(),
        Event::Restarted { .. } => println!("waited {}", exited.elapsed().as_micros()),
        _ => {}
    };
    observe(&policy, |task| i32::from(shared.next_life(task) < 5), also);
}

/// A child fails at once 70 times. The first pause is an hour, and `max_pause` is a microsecond.
fn many_pauses(shared: &Shared) {
    let max_pause = Duration::from_micros(1);
    let policy = Policy { min_uptime: HOUR, pause: HOUR, max_pause, ..policy(1) };
    observe(&policy, |task| i32::from(shared.next_life(task) < 70), |_| {});
}

/// Task 0 fails eight times, so its last pause is 128 ms. Then task 1 fails for the first time, and its pause is 1 ms.
/// The restart of task 1 ends the scenario.
fn two_pauses(shared: &Shared) {
    let policy = Policy { min_uptime: HOUR, pause: Duration::from_millis(1), max_pause: HOUR, ..policy(2) };
    let work = |task| {
        let life = shared.next_life(task);
        if (task, life) == (1, 0) {
            shared.wait_for_release();
        }
        i32::from(life < [8, 1][task])
    };
    let mut failed = 0;
    let also = |event| match event {
        Event::Exited { task: 0, .. } => {
            failed += 1;
            if failed == 8 {
                shared.release_one();
            }
        }
        Event::Restarted { task: 1, .. } => signal_self(Signal::SIGTERM),
        _ => {}
    };
    observe(&policy, work, also);
}

/// Four children fail: the third after `min_uptime`, the others at once. Prints `between MILLISECONDS` from one exit to
/// the next, so that the test can tell when a busy machine has delayed them.
fn long_life(shared: &Shared) {
    let [min_uptime, pause] = [100, 4].map(Duration::from_millis);
    let policy = Policy { min_uptime, pause, max_pause: HOUR, ..policy(1) };
    let work = |task| {
        let life = shared.next_life(task);
        if life == 2 {
            // Much longer, because on a busy machine the child may run before the supervisor notes when it started it.
            sleep(5 * min_uptime);
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

/// The same as [`signal_in_pause`], with durations that the clock cannot represent.
fn forever(shared: &Shared) {
    let longest = Duration::MAX;
    let policy =
        Policy { grace: longest, min_uptime: longest, pause: longest, max_pause: longest, ..policy(2) };
    signal_in_this_pause(policy, shared);
}

/// A child fails at once, which `min_uptime` does not count as failing at once.
fn no_min_uptime(shared: &Shared) {
    let policy = Policy { pause: HOUR, max_pause: HOUR, ..policy(1) };
    observe(&policy, |task| if shared.next_life(task) == 0 { 3 } else { 0 }, |_| {});
}

/// Supervise twice: each time, a child fails once, and one restart is allowed. Prints `ended …` for each.
fn twice(shared: &Shared) {
    for _ in 0..2 {
        let work = |task| {
            alarm::set(PATIENCE);
            if shared.next_life(task).is_multiple_of(2) { 3 } else { 0 }
        };
        println!("ended {:?}", supervise(&Policy { max_restarts: 1, ..policy(1) }, work, |_| {}));
    }
}

/// Supervise on one core, and then on all cores of this process. Prints `cores NUMBER` before each.
fn cores(shared: &Shared) {
    let ours = Pid::from_raw(0);
    let all = sched_getaffinity(ours).expect("a process can read its own affinity");
    let first =
        (0..CpuSet::count()).find(|core| all.is_set(*core) == Ok(true)).expect("it runs on some core");
    let mut one = CpuSet::new();
    one.set(first).expect("a core's number is below their count");
    for set in [one, all] {
        sched_setaffinity(ours, &set).expect("a process may restrict itself to cores that it had");
        println!("cores {}", std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        println!("started {}", {
            let mut started = 0;
            let result = supervise(
                &policy(0),
                |_| 0,
                |event| match event {
                    Event::Started { .. } => started += 1,
                    _ => shared.release_one(),
                },
            );
            if result == Ok(Ended::Done) { started } else { 0 }
        });
    }
}

/// One child has exited with 0, and another one looks at the supervisor, which has nothing to do.
fn idle(shared: &Shared) {
    let work = |task| {
        if task == 0 {
            return 0;
        }
        shared.wait_for_release();
        others::watch_parent()
    };
    let also = |event| {
        if let Event::Exited { task: 0, .. } = event {
            shared.release_one();
        }
    };
    observe(&policy(2), work, also);
}

/// The supervisor has forwarded a signal, and one child takes its time.
fn idle_while_stopping(shared: &Shared) {
    let work = |task| {
        let code = children::wait_for_signal(task, &[Reaction::Exits], Some(Signal::SIGTERM), shared);
        others::watch_parent();
        code
    };
    observe(&policy(1), work, |_| {});
}

/// Three children print the descriptors that they have in addition to those that the parent had at first, and the
/// signals that they block. The first child fails, and its replacement is forked while the others run. Then the parent
/// prints its own additional descriptors. Each of them is `close-on-exec …` or `inheritable …`.
fn inherited(shared: &Shared) {
    let before = kernel::open_now();
    let work = |task| {
        let life = shared.next_life(task);
        let now = kernel::open_now();
        let extra = now.iter().filter(|entry| !before.contains(entry)).map(|entry| kernel::with_flag(entry));
        println!("extra {task} {life} {}", extra.collect::<Vec<_>>().join(", "));
        println!("blocked {task} {life} {}", kernel::blocked());
        match (task, life) {
            (0, 0) => return 1,
            (0, _) => (0..2).for_each(|_| shared.release_one()),
            _ => shared.wait_for_release(),
        }
        0
    };
    let also = |event| {
        if let Event::Restarted { .. } = event {
            for entry in kernel::open_now().iter().filter(|entry| !before.contains(entry)) {
                println!("opened {}", kernel::with_flag(entry));
            }
        }
    };
    observe(&policy(3), work, also);
}

/// A child calls `supervise` itself.
fn inside() {
    let work = |_| {
        let before = (kernel::open_now(), kernel::blocked());
        match supervise(&policy(1), |_| 0, |_| {}) {
            Err(Failed::Call(error)) => println!("inside {:?}: {error}", error.errno),
            other => println!("inside {other:?}"),
        }
        println!("unchanged {}", before == (kernel::open_now(), kernel::blocked()));
        0
    };
    observe(&policy(1), work, |_| {});
}

/// `on_event` panics while two children run: at the event `started`, `stopping` or `killed`.
fn panics(when: &str, shared: &Shared) {
    // The test does not need the panic message, and printing a backtrace would take longer than everything else.
    std::panic::set_hook(Box::new(|_| {}));
    let reactions = [Reaction::Ignores, Reaction::Ignores];
    let work = |task| {
        // Only SIGKILL ends these children.
        alarm::cancel();
        children::wait_for_signal(task, &reactions, None, shared)
    };
    let also = |event| match event {
        Event::Started { task: 1, .. } => {
            shared.wait_for_ready(2);
            assert!(when != "started", "on purpose");
            signal_self(Signal::SIGTERM);
        }
        Event::Stopping { .. } => assert!(when != "stopping", "on purpose"),
        Event::Killed { .. } => panic!("on purpose"),
        _ => {}
    };
    observe(&Policy { grace: Duration::from_millis(20), ..policy(2) }, work, also);
}

/// There are more children than this limit has room for descriptors. A child keeps two of its parent's, so of two limits in
/// a row one leaves none for a lifeline, and one none for the fork.
fn no_descriptor(limit: &str, shared: &Shared) {
    const CHILDREN: usize = 20;
    kernel::close_all();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process can read its limits");
    setrlimit(Resource::RLIMIT_NOFILE, limit.parse().expect("a number"), hard)
        .expect("a process may lower its limits");
    let reactions = [Reaction::Exits; CHILDREN];
    let also = |event| {
        if let Event::Started { task, .. } = event {
            shared.wait_for_ready(task + 1);
        }
    };
    observe(&policy(CHILDREN), |task| children::wait_for_signal(task, &reactions, None, shared), also);
}

/// No descriptor is left when a child that has failed is due to be restarted. The other child reacts to SIGTERM like this.
/// `signals` may name one to send to the supervisor when it starts stopping.
fn no_descriptor_for_a_restart(reaction: &str, grace: &str, signals: &[&str], shared: &Shared) {
    let grace = Duration::from_millis(grace.parse().expect("a number of milliseconds"));
    let signal: Option<Signal> = signals.first().map(|signal| signal.parse().expect("the name of a signal"));
    let limits = getrlimit(Resource::RLIMIT_NOFILE).expect("a process can read its limits");
    let limit = |soft| setrlimit(Resource::RLIMIT_NOFILE, soft, limits.1).expect("a process may lower them");
    let reactions = [Reaction::parse(reaction); 2];
    let work = |task| {
        if task == 0 {
            return if shared.next_life(0) == 0 { 3 } else { 0 };
        }
        children::wait_for_signal(task, &reactions, None, shared)
    };
    let also = |event| match event {
        Event::Started { task: 1, .. } => shared.wait_for_ready(1),
        Event::Exited { task: 0, .. } => limit(3),
        Event::Stopping { .. } => {
            limit(limits.0);
            if let Some(signal) = signal {
                signal_self(signal);
            }
        }
        _ => {}
    };
    observe(&Policy { grace, ..policy(2) }, work, also);
}

/// The program was started with these signals ignored. Prints `ended …`, what `supervise` returned.
fn ignored(which: &str, shared: &Shared) {
    for each in which.split(',') {
        let each: Signal = each.parse().expect("the name of a signal");
        // SAFETY: ignoring a signal runs no code.
        unsafe { signal(each, SigHandler::SigIgn) }.expect("this signal can be ignored");
    }
    let work = |task| {
        alarm::set(PATIENCE);
        children::wait_for_signal(task, &[Reaction::Exits], Some(Signal::SIGTERM), shared)
    };
    match supervise(&policy(1), work, |_| {}) {
        Err(Failed::Call(error)) => println!("ended {:?}: {error}", error.errno),
        other => println!("ended {other:?}"),
    }
    println!("children {}", children_left());
}
