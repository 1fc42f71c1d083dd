//! What an experiment inherits from the shell or the container that starts it: what can be set is set, and what is missing
//! is the reason to skip, so that it is never taken for the kernel's answer.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, mem, ptr, thread};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::sys::wait::waitpid;
use nix::time::ClockId;
use nix::unistd::{ForkResult, Pid, alarm, fork, getpid};

use crate::lab::is_traced;
use crate::refused_calls::{refused, refused_among};
use crate::timeline::LOG;
use crate::verdict::{Failure, Result, cannot_ask};

/// What each experiment needs: a limit, how much of it, and what it is a limit of.
const NEEDS: [(Resource, rlim_t, &str); 2] = [
    (Resource::RLIMIT_NOFILE, 256, "descriptors (ulimit -n)"),
    (Resource::RLIMIT_FSIZE, 1 << 20, "bytes in a file (ulimit -f)"),
];

/// How many processes an experiment has at most.
const PROCESSES: usize = 64;

/// How long a program of the book's server may take that has nothing to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an experiment may take. None takes more than a few seconds; SIGALRM kills one that hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Make this process what it would be if a login shell had started it. `log`: the timeline's log is kept, which it inherited.
///
/// # Errors
/// A [`cannot_ask`] where a limit is too low, /proc cannot be read, or /dev/null cannot be opened.
pub(crate) fn settle(log: bool) -> Result {
    let no_proc = |error| cannot_ask(format!("/proc cannot be read: {error}; is it mounted?"));
    fs::read_dir("/proc/self/fd").and_then(|mut entries| entries.next().transpose()).map_err(no_proc)?;
    let no_null = |error| cannot_ask(format!("/dev/null cannot be opened: {error}; is /dev there?"));
    File::options().read(true).write(true).open("/dev/null").map_err(no_null)?;
    // With it, a child dies with its parent.
    let no_prctl = |error| cannot_ask(format!("prctl(2) does not work here: {error}"));
    prctl::get_pdeathsig().and_then(prctl::set_pdeathsig).map_err(no_prctl)?;
    let needed = |(limit, least, what)| raise(limit, least, what);
    NEEDS.into_iter().try_for_each(needed)?;
    // A blocked or an ignored signal stays so across exec. Python, cron and `trap '' CHLD` leave such behind.
    SigSet::empty().thread_set_mask()?;
    for signal in 1..=libc::SIGRTMAX() {
        heed(signal);
    }
    // The book's server heeds it from stage 7 on, and the experiments are about a server of one process.
    // SAFETY: this process has one thread, so no other one reads the environment.
    unsafe { env::remove_var("PROCESSES") };
    // Numbers in the timeline must not depend on what the shell leaked.
    match log {
        true => close_between(3, LOG - 1).and_then(|()| close_between(LOG + 1, i32::MAX)),
        false => close_between(3, i32::MAX),
    }
}

/// Raise a soft limit that is below `least`.
fn raise(limit: Resource, least: rlim_t, what: &str) -> Result {
    let (soft, hard) = getrlimit(limit)?;
    if hard < least {
        return Err(cannot_ask(format!(
            "this process may have {hard} {what}, and an experiment needs {least}"
        )));
    }
    Ok(setrlimit(limit, soft.max(least), hard)?)
}

/// Give an ignored signal its default action. Not SIGPIPE, which std ignores in every Rust program, and not SIGHUP, which
/// nohup(1) ignores.
fn heed(signal: libc::c_int) {
    if [libc::SIGPIPE, libc::SIGHUP].contains(&signal) {
        return;
    }
    // SAFETY: a sigaction is plain data, for which zeros are valid: no flags, an empty mask, SIG_DFL.
    let (mut action, default): (libc::sigaction, libc::sigaction) = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes the structure above. EINVAL, for the two signals of the C library, leaves SIG_DFL in it.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    if action.sa_sigaction == libc::SIG_IGN {
        // SAFETY: the kernel reads the structure above. A default action runs no code of this program.
        unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    }
}

/// Close every descriptor from `first` to `last`, one by one where there is no close_range(2): before Linux 5.9, and in
/// sandboxes that do not know it.
fn close_between(first: i32, last: i32) -> Result {
    // SAFETY: called before anything was opened, so no object of this program owns what is closed here.
    if unsafe { libc::close_range(first.cast_unsigned(), last.cast_unsigned(), 0) } == 0 {
        return Ok(());
    }
    let entries = fs::read_dir("/proc/self/fd")?.flatten();
    let open: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in open.into_iter().filter(|number| (first..=last).contains(number)) {
        // SAFETY: as above. The descriptor of the directory is in the list, and closed already: EBADF.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// What fork(2) returned, with `EAGAIN` as a reason to skip: the limit of processes, of the user or of the container.
pub(crate) fn forked(outcome: nix::Result<ForkResult>) -> Result<ForkResult> {
    outcome.map_err(|error| match error {
        Errno::EAGAIN => cannot_ask("no more processes can be started here: see ulimit -u and pids.max"),
        Errno::ENOSYS | Errno::EPERM => cannot_ask(format!("fork is refused here: {error}")),
        other => Failure::from(other),
    })
}

/// Kill this process if it hangs. The timer is a separate one, so that experiments may use `alarm` and the like. Children
/// do not inherit it; they are killed when their parent dies.
pub(crate) fn limit() -> Option<Timer> {
    let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 });
    let timer = Timer::new(ClockId::CLOCK_MONOTONIC, event).and_then(|mut timer| {
        timer.set(Expiration::OneShot(LIMIT.into()), TimerSetTimeFlags::empty())?;
        Ok(timer)
    });
    if timer.is_err() {
        // Without room for its signal in the queue (ulimit -i), no timer can be made. alarm needs none.
        alarm::set(u32::try_from(LIMIT.as_secs()).unwrap_or(u32::MAX));
    }
    timer.ok()
}

/// Check that a timer can send a signal, which needs a place in the queue of this user's signals. For an experiment that
/// would wait for that signal.
///
/// # Errors
/// A [`cannot_ask`] past `RLIMIT_SIGPENDING`, or where timer_create(2) is refused.
pub fn timers_send_signals() -> Result {
    let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 });
    let no_timer = |error| cannot_ask(format!("no timer can be made here: {error}; see ulimit -i"));
    Timer::new(ClockId::CLOCK_MONOTONIC, event).map(drop).map_err(no_timer)
}

/// Check that these system calls are permitted: `SYS_tgkill`, for example. For an experiment that would hang, or give another
/// answer, if one of them were refused. Only for ordinary calls: see `refused_calls.rs`.
///
/// # Errors
/// A [`cannot_ask`] with the names of those that are refused.
pub fn needs(calls: &[libc::c_long]) -> Result {
    refused_among(calls).map_or(Ok(()), |reason| Err(cannot_ask(reason)))
}

/// What is missing here, after an experiment that failed without saying so: std panics where no thread can be started, and
/// the errno of a limit, `EAGAIN`, can mean anything. An experiment with the name `server-…` starts the book's server, whose
/// programs must work here. A tracer stops threads at each call and at each signal, and so changes which of them is asleep.
pub(crate) fn missing(experiment: &str) -> Option<String> {
    let tracer =
        || is_traced(getpid()).ok()?.then(|| "this process is traced, by strace or a debugger".to_owned());
    let threads = || {
        let error = thread::Builder::new().spawn(|| ()).err()?;
        Some(format!("no thread can be started here: {error}"))
    };
    let timers = || timers_send_signals().err().and_then(|failure| failure.refusal());
    let programs = || experiment.starts_with("server-").then(programs).flatten();
    tracer()
        .or_else(|| refused().map(str::to_owned))
        .or_else(processes)
        .or_else(threads)
        .or_else(timers)
        .or_else(programs)
}

/// Which program of the book's server does not work here: without /bin/sh, with a PATH that leads nowhere, with a `tail` that
/// does not know `--pid`.
fn programs() -> Option<String> {
    // The last one runs until a process has exited, and no process has this number.
    let inputs = [("upper", ""), ("count", ""), ("sort", ""), ("silent", "2147483647\n")];
    inputs.into_iter().find_map(|(name, input)| {
        let command = stages::look_up(name, Path::new("/dev/null")).ok().flatten()?;
        let how = match ended(&command, input) {
            Ok(Some(status)) if status.success() => return None,
            Ok(Some(status)) => status.to_string(),
            Ok(None) => "it does not exit".into(),
            Err(error) => format!("/bin/sh: {error}"),
        };
        Some(format!("the server's program `{name}` does not work here ({how}): {command}"))
    })
}

/// Run a command in a shell, and give its exit status; `None` if it has to be killed.
fn ended(command: &str, input: &str) -> io::Result<Option<ExitStatus>> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = shell.spawn()?;
    // An error: it reads no input.
    let _ = shell.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = shell.try_wait()? {
            return Ok(Some(status));
        }
        // Not a sleep, in which std panics if the call is refused.
        thread::park_timeout(PATIENCE / 500);
    }
    shell.kill()?;
    shell.wait().map(|_| None)
}

/// Why so many processes as an experiment may have cannot be started.
fn processes() -> Option<String> {
    let mut children: Vec<Pid> = Vec::new();
    let refused = (0..PROCESSES).find_map(|_| {
        // SAFETY: the child only calls _exit, which is async-signal-safe, so threads that hold a lock do no harm.
        match forked(unsafe { fork() }) {
            // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
            Ok(ForkResult::Child) => unsafe { libc::_exit(0) },
            Ok(ForkResult::Parent { child }) => {
                children.push(child);
                None
            }
            Err(failure) => failure.refusal(),
        }
    });
    for child in children {
        let _ = waitpid(child, None);
    }
    refused
}
