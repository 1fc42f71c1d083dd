//! What tests need of the machine that they run on: each function says whether it is there, and if not, why.
//!
//! They ask without any code under test. `testing::needs!` skips a test whose needs are not met.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t};
use nix::unistd::{getpid, mkdtemp};

/// The longest path of a temporary folder in which the tests still find room for the names of sockets: a Unix socket's
/// path has at most 107 bytes, see unix(7).
const LONGEST: usize = 70;

/// A connection over 127.0.0.1. A network namespace in which `lo` is down has none.
///
/// # Errors
/// Why there is none.
pub fn loopback() -> Result<(), String> {
    let connect = || TcpStream::connect(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?);
    connect().map(drop).map_err(|error| format!("127.0.0.1 cannot be used: {error}"))
}

/// The address ::1. A kernel can be built without IPv6, and IPv6 can be switched off.
///
/// # Errors
/// Why it is not there.
pub fn ipv6() -> Result<(), String> {
    let bound = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    bound.map(drop).map_err(|error| format!("this machine does not have the address ::1: {error}"))
}

/// A /proc that shows the descriptors of this process and their flags.
///
/// # Errors
/// Why it does not.
pub fn proc() -> Result<(), String> {
    let file = File::open("/dev/null").map_err(|error| format!("/dev/null cannot be opened: {error}"))?;
    let shown = fs::read(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    shown.map(drop).map_err(|error| format!("/proc does not show the descriptors of this process: {error}"))
}

/// As many descriptors as this: the soft limit of this process.
///
/// # Errors
/// That there are fewer.
pub fn descriptors(least: rlim_t) -> Result<(), String> {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let reason = || format!("this process may have only {soft} descriptors, and needs {least} (ulimit -n)");
    if soft < least { Err(reason()) } else { Ok(()) }
}

/// Descriptors for processes: pidfd_open(2), which a sandbox can refuse.
///
/// # Errors
/// Why there are none.
pub fn pidfd() -> Result<(), String> {
    // SAFETY: pidfd_open takes two numbers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, getpid().as_raw(), 0) };
    let fd = Errno::result(fd).map_err(|error| format!("pidfd_open is refused: {error}"))?;
    let fd = i32::try_from(fd).map_err(|error| error.to_string())?;
    // SAFETY: the kernel has just opened it for us, and no other code has its number.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC`, which came with Linux 5.11, and which a sandbox can refuse.
///
/// # Errors
/// Why it is not there.
pub fn close_range() -> Result<(), String> {
    let last = libc::c_uint::MAX;
    // SAFETY: the call takes three numbers, and no descriptor has the number in this range.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, last, last, libc::CLOSE_RANGE_CLOEXEC) };
    let done = Errno::result(ret).map(drop);
    done.map_err(|error| format!("close_range with CLOSE_RANGE_CLOEXEC is refused: {error}"))
}

/// A folder for temporary files and sockets: see [`temporary_folder`].
///
/// # Errors
/// Why there is none.
pub fn temporary() -> Result<(), String> {
    temporary_folder().map(drop)
}

/// The folder for temporary files: TMPDIR; or /tmp, if TMPDIR is missing, cannot be written, is full, or is too long for
/// the path of a socket.
///
/// # Errors
/// Why no file can be written in either.
pub fn temporary_folder() -> Result<PathBuf, String> {
    let mut reasons = Vec::new();
    for folder in [env::temp_dir(), PathBuf::from("/tmp")] {
        let name = folder.display();
        if folder.as_os_str().len() > LONGEST {
            reasons.push(format!("the path of TMPDIR is too long for sockets ({name})"));
            continue;
        }
        // Empty files are made on a full disk too.
        let try_out = || {
            let inside = mkdtemp(&folder.join("testing-XXXXXX"))?;
            let written = fs::write(inside.join("file"), [0; 4096]);
            fs::remove_dir_all(&inside)?;
            written
        };
        match try_out() {
            Ok(()) => return Ok(folder),
            Err(error) => reasons.push(format!("no file can be written in {name}: {error}")),
        }
    }
    reasons.dedup();
    Err(reasons.join(", and "))
}
