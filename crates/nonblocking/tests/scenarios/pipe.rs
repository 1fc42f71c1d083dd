//! Making pipes without free descriptors, and changing their capacity without privileges.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use nonblocking::pipe;
use testing::judged;

use super::support::helper::output::{in_words, print};

/// A process with this capability may make pipes of any size. See capabilities(7).
const CAP_SYS_RESOURCE: u32 = 24;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["pipe"] => made(),
        ["capacity"] => of_a_pipe(None),
        ["set-capacity", bytes] => bytes.parse().map_err(in_words).and_then(|bytes| of_a_pipe(Some(bytes))),
        ["pipe-without-numbers"] => without_numbers(),
        ["capacity-above-the-limit"] => above_the_limit(),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// `pipe`: make one, and print `result …`; the tracer prints the calls.
fn made() -> Result<(), String> {
    print(&judged(pipe::pipe).map(drop));
    Ok(())
}

/// `pipe-without-numbers`: make one while the process has no free descriptor.
fn without_numbers() -> Result<(), String> {
    let next = File::open("/dev/null").map_err(in_words)?.as_raw_fd();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(in_words)?;
    setrlimit(Resource::RLIMIT_NOFILE, next as rlim_t, hard).map_err(in_words)?;
    print(&pipe::pipe().map(drop));
    Ok(())
}

/// `capacity-above-the-limit`: as an unprivileged user, ask for one byte more than `pipe-max-size`. Prints
/// `asked BYTES`, `before BYTES`, `result …` and `after BYTES`, or `skipped WHY`.
fn above_the_limit() -> Result<(), String> {
    if Uid::effective().is_root() {
        // The user "nobody".
        let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
        // In a container this may fail. The check below looks at the capabilities themselves.
        let _ =
            setgroups(&[]).and_then(|()| setresgid(gid, gid, gid)).and_then(|()| setresuid(uid, uid, uid));
    }
    let capabilities = testing::proc::status("self", "CapEff").unwrap_or_else(|| "0".into());
    let capabilities = u64::from_str_radix(&capabilities, 16).map_err(in_words)?;
    if capabilities & (1 << CAP_SYS_RESOURCE) != 0 {
        println!("skipped this process cannot drop CAP_SYS_RESOURCE");
        return Ok(());
    }
    let most = fs::read_to_string("/proc/sys/fs/pipe-max-size").map_err(in_words)?;
    let most: usize = most.trim().parse().map_err(in_words)?;
    if most >= 1 << 30 {
        println!("skipped an unprivileged user may make pipes of {most} bytes here");
        return Ok(());
    }
    let (reader, _writer) = std::io::pipe().map_err(in_words)?;
    let kernel_capacity = || nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_GETPIPE_SZ).map_err(in_words);
    println!("asked {}", most + 1);
    println!("before {}", kernel_capacity()?);
    print(&pipe::set_capacity(&reader, most + 1));
    println!("after {}", kernel_capacity()?);
    Ok(())
}

/// `capacity` and `set-capacity BYTES`: call that function with a pipe. Prints `result …` and the descriptor's `number …`.
fn of_a_pipe(bytes: Option<usize>) -> Result<(), String> {
    let (reader, _writer) = std::io::pipe().map_err(in_words)?;
    print(&judged(|| match bytes {
        Some(bytes) => pipe::set_capacity(&reader, bytes),
        None => pipe::capacity(&reader),
    }));
    println!("number {}", reader.as_raw_fd());
    Ok(())
}
