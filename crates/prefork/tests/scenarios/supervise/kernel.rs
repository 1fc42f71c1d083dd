//! What the kernel reports about this process, and a filter that makes it reject system calls.

use std::fs;
use std::os::fd::BorrowedFd;

use nix::libc::{self, c_int, c_long, c_ulong, sock_filter, sock_fprog};
use testing::REFUSED;

/// Every open descriptor and what it refers to, as `7 pipe:[8812]`. The descriptor that lists the directory is closed
/// before its target is read, so it is left out.
pub fn open_now() -> Vec<String> {
    let mut numbers = numbers();
    numbers.sort_unstable();
    let entry = |number: &i32| {
        let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        Some(format!("{number} {}", target.display()))
    };
    numbers.iter().filter_map(entry).collect()
}

/// An entry of [`open_now`] with the flag of its descriptor: `close-on-exec 7 pipe:[8812]`, or `inheritable 7 …`.
pub fn with_flag(entry: &str) -> String {
    let number = entry.split(' ').next().and_then(|number| number.parse::<i32>().ok());
    // SAFETY: it was open a moment ago, and its owner is the supervisor or its child, which is calling this.
    let is_set = |number| cloexec::flags::is_set(unsafe { BorrowedFd::borrow_raw(number) });
    let is_set = number.is_some_and(|number| is_set(number).unwrap_or(false));
    format!("{} {entry}", if is_set { "close-on-exec" } else { "inheritable" })
}

/// Close everything above the standard streams.
pub fn close_all() {
    close_all_but(0);
}

/// The same, except for one.
pub fn close_all_but(kept: i32) {
    for number in numbers().into_iter().filter(|number| *number > 2 && *number != kept) {
        let _ = nix::unistd::close(number);
    }
}

/// Make a close-on-exec copy of each descriptor above the standard streams.
pub fn copy_all() {
    for number in numbers().into_iter().filter(|number| *number > 2) {
        // SAFETY: the call takes integers.
        unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    }
}

fn numbers() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The signals that this thread has blocked, in hexadecimal.
pub fn blocked() -> String {
    testing::proc::status("thread-self", "SigBlk").expect("a thread can read its status")
}

/// Make these system calls fail with EPERM in this process and its future children: see seccomp(2).
pub fn forbid(calls: &[c_long]) {
    filter(calls, libc::EPERM);
}

/// Make these system calls return 0 and do nothing.
pub fn pretend(calls: &[c_long]) {
    filter(calls, 0);
}

fn filter(calls: &[c_long], errno: c_int) {
    let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // The system call's number is the first field of `struct seccomp_data`.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for call in calls {
        let equal = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *call as u32);
        program.push(sock_filter { jf: 1, ..equal });
        program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the call takes integers.
    let privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, 0 as c_ulong, 0, 0) };
    let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: `program` points to a filter that lives until the call returns, and its length is right.
    let filter = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
    if privileges != 0 || filter != 0 {
        eprintln!("seccomp: {}", nix::errno::Errno::last());
        std::process::exit(REFUSED);
    }
}
