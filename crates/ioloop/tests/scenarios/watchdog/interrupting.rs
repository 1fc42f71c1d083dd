//! Code that the handler interrupts, and that must not notice it.

use std::io::Write;

use nix::errno::Errno;
use nix::libc::{itimerspec, timer_gettime, timer_t};
use nix::unistd::read;

use super::super::support::counting::allocations;
use super::*;

/// Code that sleeps in a system call blocks too. The report ends the sleep.
pub fn interrupted() -> Outcome {
    let (reader, mut writer) = std::io::pipe()?;
    let watch = Watchdog::new(SHORT, move |_| writer.write_all(b"x").expect("the pipe has a reader"))?;
    step(
        "code sleeps in read(2) until it is reported. Does your clock count the time of a thread that sleeps?",
    );
    watch.arm();
    println!("read {:?}", read(&reader, &mut [0; 8]));
    Ok(())
}

pub fn allocated() -> Outcome {
    let reports = Reports::default();
    let watch = Watchdog::new(SHORT, reports.hook())?;
    let before = allocations();
    watch.arm();
    let reported = watched(&|| reports.len() > 0);
    println!("allocations {}", allocations() - before);
    println!("reported {}", word(reported));
    Ok(())
}

/// The descriptor that the handler writes to is not writable any more.
pub fn errno() -> Outcome {
    let before = descriptors()?;
    let watch = Watchdog::new(SHORT, |_| ())?;
    let null = std::fs::File::open("/dev/null")?;
    for number in descriptors()?.into_iter().filter(|number| !before.contains(number)) {
        // SAFETY: the descriptor belongs to the watchdog, of which only the handler is used from now on.
        unsafe { nix::unistd::dup2_raw(&null, number) }.map(std::mem::forget)?;
    }
    step("code computes, and is interrupted by a handler whose write fails. Does the handler return?");
    watch.arm();
    Errno::E2BIG.set();
    let done = for_a_while();
    while !done() {}
    println!("errno {:?}", Errno::last());
    // Its drop would wait for a reporter that cannot be notified any more.
    std::mem::forget(watch);
    Ok(())
}

/// The kernel's timers of this process that send SIGALRM, each as its number and its clock: see proc_pid_timers(5).
fn timers() -> std::io::Result<Vec<(usize, i32)>> {
    let (mut timers, mut number, mut is_alarm) = (Vec::new(), 0, false);
    for line in std::fs::read_to_string("/proc/self/timers")?.lines() {
        match line.split_once(": ") {
            Some(("ID", id)) => number = id.parse().unwrap_or(0),
            Some(("signal", signal)) => is_alarm = signal.starts_with("14/"),
            Some(("ClockID", clock)) if is_alarm => timers.push((number, clock.parse().unwrap_or(0))),
            _ => {}
        }
    }
    Ok(timers)
}

/// The clock of the timer, and what is left of the threshold right after the timer was armed.
pub fn timer() -> Outcome {
    for threshold in [3600, 30 * 365 * 86_400] {
        let watch = Watchdog::new(Duration::from_secs(threshold), |_| ())?;
        watch.arm();
        let timers = match timers() {
            Ok(timers) => timers,
            Err(error) => {
                println!("unasked this kernel does not list its timers: {error}");
                return Ok(());
            }
        };
        for (number, clock) in timers {
            // SAFETY: all zeros are a valid time.
            let mut left: itimerspec = unsafe { std::mem::zeroed() };
            // SAFETY: the C library uses the kernel's number, and writes a time.
            Errno::result(unsafe { timer_gettime(number as timer_t, &raw mut left) })?;
            // A threshold of an hour, and then of 30 years, is not over yet.
            let late = threshold.abs_diff(left.it_value.tv_sec.cast_unsigned() as u64);
            println!("timer {clock} {}", if late < 600 { "as long" } else { "another time" });
        }
    }
    Ok(())
}

/// The numbers of all open descriptors.
pub fn descriptors() -> std::io::Result<Vec<i32>> {
    let numbers = std::fs::read_dir("/proc/self/fd")?;
    let mut numbers: Vec<i32> =
        numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // One of them was the directory that was read.
    numbers.retain(|number| std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    Ok(numbers)
}
