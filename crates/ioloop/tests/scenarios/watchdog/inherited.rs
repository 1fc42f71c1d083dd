//! What a watchdog finds in its thread and in its process: a mask that blocks SIGALRM, and others that use the signal.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigSet, SigevNotify, kill, raise, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{Pid, close, dup2_stdin, dup2_stdout};

use super::*;

/// The mask of blocked signals, in words.
fn mask() -> nix::Result<String> {
    let names: Vec<_> = SigSet::thread_get_mask()?.iter().map(Signal::as_str).collect();
    Ok(names.join(" "))
}

/// The mask blocks SIGALRM, as one that is inherited from another program may.
pub fn blocked() -> Outcome {
    [Signal::SIGALRM, Signal::SIGUSR1].into_iter().collect::<SigSet>().thread_block()?;
    println!("before {}", mask()?);
    let reports = Reports::default();
    let watch = Watchdog::new(SHORT, reports.hook())?;
    watch.arm();
    println!("reported {}", word(watched(&|| reports.len() > 0)));
    let busy = thread::spawn(|| -> nix::Result<String> {
        SigSet::from(Signal::SIGALRM).thread_block()?;
        let errno = Watchdog::new(SHORT, |_| ()).err().map(|error| error.errno);
        Ok(format!("{errno:?} {}", mask()?))
    });
    println!("busy {}", busy.join().map_err(|_| "the thread panicked")??);
    drop(watch);
    println!("dropped {}", mask()?);
    setrlimit(Resource::RLIMIT_SIGPENDING, 0, 0)?;
    println!("refused {}", Watchdog::new(SHORT, |_| ()).is_err());
    println!("then {}", mask()?);
    Ok(())
}

/// The thread has blocked SIGALRM since, and an alarm is pending when the watchdog is dropped. Linux 6.13 and newer do not
/// deliver it once the timer is disarmed; older kernels deliver it as soon as the thread unblocks SIGALRM.
pub fn pending() -> Outcome {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn previous(_: c_int) {
        CALLS.fetch_add(1, SeqCst);
    }
    // SAFETY: the handler only increments a counter.
    unsafe { signal(Signal::SIGALRM, SigHandler::Handler(previous)) }?;
    let watch = Watchdog::new(SHORT, |_| ())?;
    SigSet::from(Signal::SIGALRM).thread_block()?;
    watch.arm();
    spin(&for_a_while());
    drop(watch);
    SigSet::from(Signal::SIGALRM).thread_unblock()?;
    println!("late {}", CALLS.load(SeqCst));
    Ok(())
}

/// How often the handler ran that was there before.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The last number or code that it got.
static GOT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn plain(signal: c_int) {
    CALLS.fetch_add(1, SeqCst);
    GOT.store(signal as usize, SeqCst);
}

extern "C" fn full(signal: c_int, info: *mut nix::libc::siginfo_t, context: *mut nix::libc::c_void) {
    // SAFETY: the handler must get a valid siginfo.
    let same = unsafe { (*info).si_signo } == signal && !context.is_null();
    CALLS.fetch_add(usize::from(same), SeqCst);
    GOT.store(signal as usize, SeqCst);
}

/// SIGALRM comes from elsewhere: from this thread, from another one, for the process, and from another timer.
fn from_elsewhere() -> Outcome {
    raise(Signal::SIGALRM)?;
    thread::spawn(|| raise(Signal::SIGALRM)).join().map_err(|_| "the thread panicked")??;
    kill(Pid::this(), Signal::SIGALRM)?;
    if !spin(&|| CALLS.load(SeqCst) >= 3) {
        return Ok(());
    }
    let timer = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, timer)?;
    let soon = Expiration::OneShot(TimeSpec::from_duration(Duration::from_millis(1)));
    timer.set(soon, TimerSetTimeFlags::empty())?;
    spin(&|| CALLS.load(SeqCst) >= 4);
    Ok(())
}

pub fn foreign(takes: &str) -> Outcome {
    let handler = if takes == "foreign" { SigHandler::Handler(plain) } else { SigHandler::SigAction(full) };
    // SAFETY: both handlers only use atomics.
    unsafe { sigaction(Signal::SIGALRM, &SigAction::new(handler, SaFlags::empty(), SigSet::empty())) }?;
    let reports = Reports::default();
    let watch = Watchdog::new(Duration::from_secs(3600), reports.hook())?;
    watch.arm();
    from_elsewhere()?;
    // It reports whatever was noted.
    drop(watch);
    println!("reports {}", reports.len());
    println!("previous {}", CALLS.load(SeqCst));
    println!("got {}", GOT.load(SeqCst));
    Ok(())
}

/// There was no handler before, but there was one before another watchdog. The default would kill the process.
pub fn without_a_handler() -> Outcome {
    // SAFETY: the handler only uses atomics.
    unsafe { signal(Signal::SIGALRM, SigHandler::Handler(plain)) }?;
    drop(Watchdog::new(SHORT, |_| ())?);
    // SAFETY: this is the default.
    unsafe { signal(Signal::SIGALRM, SigHandler::SigDfl) }?;
    let reports = Reports::default();
    let watch = Watchdog::new(SHORT, reports.hook())?;
    raise(Signal::SIGALRM)?;
    println!("previous {}", CALLS.load(SeqCst));
    watch.arm();
    println!("reported {}", reports.named(0, &["without_a_handler"]));
    println!("still {}", word(watched(&|| reports.len() > 0)));
    Ok(())
}

/// The process has no standard input, and then no standard output, so a watchdog may get the descriptor 0 or 1.
pub fn without_standard_files() -> Outcome {
    let caught = || -> ioloop::Result<bool> {
        let reports = Reports::default();
        let watch = Watchdog::new(SHORT, reports.hook())?;
        watch.arm();
        Ok(watched(&|| reports.len() > 0))
    };
    let kept = [std::io::stdin().as_fd(), std::io::stdout().as_fd()].map(|fd| fd.try_clone_to_owned());
    let [input, output] = kept;
    let (input, output) = (input?, output?);
    close(0)?;
    let without_input = caught();
    dup2_stdin(input)?;
    close(1)?;
    let without_output = caught();
    dup2_stdout(output)?;
    println!("without-input {}", word(without_input?));
    println!("without-output {}", word(without_output?));
    Ok(())
}
