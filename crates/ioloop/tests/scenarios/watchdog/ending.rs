//! How a watchdog is dropped, and what is left of one that could not be made.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigSet, raise, sigaction};
use nix::unistd::{Uid, getpid, setuid};
use testing::proc::state;

use super::interrupting::descriptors;
use super::*;

static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn previous(_: c_int) {
    CALLS.fetch_add(1, SeqCst);
}

/// The action for the signal before a watchdog is made.
fn before() -> SigAction {
    let mask: SigSet = [Signal::SIGTERM].into_iter().collect();
    SigAction::new(SigHandler::Handler(previous), SaFlags::SA_NODEFER, mask)
}

/// Install `previous` as the handler, and return the action that was there.
fn take_over() -> nix::Result<SigAction> {
    // SAFETY: the handler only increments a counter.
    unsafe { sigaction(Signal::SIGALRM, &before()) }
}

fn address(action: &SigAction) -> usize {
    match action.handler() {
        SigHandler::Handler(handler) => handler as usize,
        SigHandler::SigDfl => 0,
        _ => 1,
    }
}

/// `as before`, or the difference.
fn compared() -> nix::Result<&'static str> {
    let (now, before) = (take_over()?, before());
    let masked = |signal: &Signal| now.mask().contains(*signal) == before.mask().contains(*signal);
    let rest = Signal::iterator().all(|signal| masked(&signal)) && now.flags().contains(before.flags());
    Ok(match (address(&now) == address(&before), rest, address(&now)) {
        (true, true, _) => "as before",
        (true, false, _) => "the handler that was there before, with another mask or other flags",
        (false, _, 0) => "the default",
        _ => "another handler",
    })
}

/// Is it close-on-exec?
fn is_marked(number: i32) -> bool {
    // SAFETY: it is the watch's, which is not dropped yet.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(fd, FcntlArg::F_GETFD)
        .is_ok_and(|flags| FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC))
}

/// How many descriptors of a watchdog stay open across exec.
pub fn unmarked() -> Outcome {
    let before = descriptors()?;
    let _watch = Watchdog::new(SHORT, |_| ())?;
    let unmarked =
        descriptors()?.into_iter().filter(|number| !before.contains(number) && !is_marked(*number));
    println!("unmarked {}", unmarked.count());
    Ok(())
}

pub fn restored() -> Outcome {
    take_over()?;
    let before = descriptors()?;
    let watch = Watchdog::new(SHORT, |_| ())?;
    watch.arm();
    step("the watchdog is dropped");
    drop(watch);
    spin(&for_a_while());
    println!("late {}", CALLS.load(SeqCst));
    println!("descriptors {}", descriptors()?.len() - before.len());
    println!("signal {}", compared()?);
    raise(Signal::SIGALRM)?;
    println!("previous {}", CALLS.load(SeqCst));
    Ok(())
}

/// An alarm fires at about the time at which its watchdog is dropped, many times over: later after each round that made
/// a report, earlier after each round that made none.
pub fn at_the_last_moment() -> Outcome {
    take_over()?;
    let reports = Reports::default();
    let mut threshold = Duration::from_micros(5);
    for _ in 0..100 {
        step("a watchdog is dropped at about the time of its alarm");
        let before = reports.len();
        let watch = Watchdog::new(threshold, reports.hook())?;
        watch.arm();
        drop(watch);
        threshold = if reports.len() > before { threshold * 17 / 16 } else { threshold * 15 / 16 };
    }
    println!("late {}", CALLS.load(SeqCst));
    Ok(())
}

/// A report that waits for permission to finish.
fn held(reports: &Reports) -> (impl FnMut(&Blocked) + Send + 'static, Arc<AtomicUsize>, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let (begun, reports) = (Arc::new(AtomicUsize::new(0)), reports.clone());
    let begins = Arc::clone(&begun);
    let report = move |blocked: &Blocked| {
        if begins.fetch_add(1, AcqRel) == 0 {
            let _ = released.recv();
        }
        reports.add(blocked);
    };
    (report, begun, release)
}

/// A report is being made when the watchdog is dropped.
pub fn joined() -> Outcome {
    let reports = Reports::default();
    let (report, begun, release) = held(&reports);
    let watch = Watchdog::new(SHORT, report)?;
    watch.arm();
    needs(watched(&|| begun.load(Acquire) > 0))?;
    // When this thread sleeps, its drop waits for the report, or has returned. The watchdog exists until the drop returns.
    let dropping = getpid().as_raw();
    let releases = thread::spawn(move || {
        spin(&|| state(dropping) == Some('S'));
        let second = Watchdog::new(SHORT, |_| ());
        let _ = release.send(());
        second.map_or_else(|error| format!("{:?}", error.errno), |_| "Ok".into())
    });
    step("the watchdog is dropped while a report is being made");
    drop(watch);
    println!("over {}", word(reports.len() > 0));
    println!("second {}", releases.join().map_err(|_| "the thread panicked")?);
    Ok(())
}

/// A stack is noted but not yet reported when the watchdog is dropped.
pub fn last() -> Outcome {
    let reports = Reports::default();
    let (report, begun, release) = held(&reports);
    let before = descriptors()?;
    let watch = Watchdog::new(SHORT, report)?;
    let own: Vec<_> = descriptors()?.into_iter().filter(|number| !before.contains(number)).collect();
    watch.arm();
    needs(watched(&|| begun.load(Acquire) > 0))?;
    watch.arm();
    let over = for_a_while();
    // After the handler has written to it, it is readable.
    let told = |number: &i32| {
        // SAFETY: it is the watch's, which is not dropped yet.
        let fd = unsafe { BorrowedFd::borrow_raw(*number) };
        let readable = PollFlags::POLLIN;
        let mut asked = [PollFd::new(fd, readable)];
        poll(&mut asked, PollTimeout::ZERO).is_ok()
            && asked[0].revents().is_some_and(|seen| seen.contains(readable))
    };
    meanwhile(&|| over() && own.iter().any(told));
    let releases = thread::spawn(move || {
        thread::sleep(WHILE);
        release.send(())
    });
    step("the watchdog is dropped, and a stack that was noted is not reported yet");
    drop(watch);
    println!("second {}", reports.named(1, &["watched", "meanwhile"]));
    let _ = releases.join();
    Ok(())
}

/// A report panics, and then code blocks.
pub fn panicked() -> Outcome {
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let watch = Watchdog::new(SHORT, move |_| {
        begins.store(true, Release);
        panic!("this is what the report does here")
    })?;
    watch.arm();
    needs(watched(&|| begun.load(Acquire)))?;
    watch.arm();
    meanwhile(&for_a_while());
    step("the watchdog is dropped, and its report has panicked");
    drop(watch);
    let reports = Reports::default();
    let watch = Watchdog::new(SHORT, reports.hook())?;
    watch.arm();
    watched(&|| reports.len() > 0);
    println!("next {}", reports.named(0, &["watched", "meanwhile"]));
    Ok(())
}

/// A report panics, and what it throws panics when it is dropped.
pub fn thrown() -> Outcome {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }
    take_over()?;
    let files = descriptors()?.len();
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let watch = Watchdog::new(SHORT, move |_| {
        begins.store(true, Release);
        std::panic::resume_unwind(Box::new(Bomb))
    })?;
    watch.arm();
    needs(watched(&|| begun.load(Acquire)))?;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(watch)));
    println!("dropped {}", if dropped.is_ok() { "well" } else { "in a panic" });
    println!("descriptors {}", descriptors()?.len() - files);
    println!("signal {}", compared()?);
    println!("then {}", Watchdog::new(SHORT, |_| ()).map_or_else(|error| error.to_string(), |_| "Ok".into()));
    Ok(())
}

/// The kernel refuses the timer, or the thread.
pub fn refused(what: &str) -> Outcome {
    take_over()?;
    let resource = if what == "no-timer" { Resource::RLIMIT_SIGPENDING } else { Resource::RLIMIT_NPROC };
    if resource == Resource::RLIMIT_NPROC && Uid::effective().is_root() {
        // The limit does not apply to root, and a user namespace may have no other user.
        if let Err(error) = setuid(Uid::from_raw(65534)) {
            println!("refused root cannot become user 65534 here: {error}");
            return Ok(());
        }
        // A process that is not dumpable cannot read its own /proc/self/fd.
        set_dumpable(true)?;
    }
    let (soft, hard) = getrlimit(resource)?;
    setrlimit(resource, 0, hard)?;
    // In a user namespace without a map, root has another number.
    if resource == Resource::RLIMIT_NPROC && std::thread::Builder::new().spawn(|| ()).is_ok() {
        println!("refused RLIMIT_NPROC does not apply to this user");
        return Ok(());
    }
    let files = descriptors()?.len();
    match catch_unwind(|| Watchdog::new(SHORT, |_| ())) {
        Ok(Ok(_)) => println!("first Ok"),
        Ok(Err(error)) => println!("first {:?}", error.errno),
        Err(_) => println!("first panic"),
    }
    println!("descriptors {}", descriptors()?.len() - files);
    println!("signal {}", compared()?);
    setrlimit(resource, soft, hard)?;
    println!("then {}", Watchdog::new(SHORT, |_| ()).map_or_else(|error| error.to_string(), |_| "Ok".into()));
    Ok(())
}
