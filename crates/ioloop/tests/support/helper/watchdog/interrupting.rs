//! What is interrupted by the handler, and is to notice nothing.

use std::io::Write;

use nix::errno::Errno;
use nix::unistd::read;

use super::super::super::counting::allocations;
use super::*;

/// What sleeps in a call blocks no less. Its report ends the sleep.
pub fn interrupted() -> Outcome {
    let (reader, mut writer) = std::io::pipe()?;
    let watch = Watchdog::new(SHORT, move |_| writer.write_all(b"x").expect("somebody reads"))?;
    step("code sleeps in read(2) until it is reported. Does the time of one who sleeps count?");
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

/// What the handler writes to cannot be written any more.
pub fn errno() -> Outcome {
    let before = descriptors()?;
    let watch = Watchdog::new(SHORT, |_| ())?;
    let null = std::fs::File::open("/dev/null")?;
    for number in descriptors()?.into_iter().filter(|number| !before.contains(number)) {
        // SAFETY: the descriptor is the watch's, which is never used again but by its handler.
        unsafe { nix::unistd::dup2_raw(&null, number) }.map(std::mem::forget)?;
    }
    step(
        "code computes, and is interrupted by a handler that cannot tell anybody. Does the handler come back?",
    );
    watch.arm();
    Errno::E2BIG.set();
    let done = for_a_while();
    while !done() {}
    println!("errno {:?}", Errno::last());
    // It could not be told any more.
    std::mem::forget(watch);
    Ok(())
}

/// The numbers of all that is open.
pub fn descriptors() -> std::io::Result<Vec<i32>> {
    let numbers = std::fs::read_dir("/proc/self/fd")?;
    let mut numbers: Vec<i32> =
        numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // One of them was what they were read from.
    numbers.retain(|number| std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    Ok(numbers)
}
