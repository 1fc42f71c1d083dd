//! `status core LIMIT`: a child that aborts, with this limit for its core file.
//!
//! Contract: the core file is written to a file system that only the helper sees and that disappears with it. If this
//! machine does not permit one, or does not write core files, the scenario is refused.

use std::ffi::CStr;
use std::{fs, ptr};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, getegid, geteuid};
use prefork::status;

use super::super::support::helper::children::{await_end, left, start};
use super::{refused, words};

pub fn run(limit: &str) -> i32 {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    // `|` pipes the core to a program and `@` sends it to a socket. An absolute path may be outside of our file system.
    if pattern.trim().is_empty() || pattern.starts_with(['|', '@', '/']) {
        return refused(&format!("core_pattern is {}", pattern.trim()));
    }
    if let Err(why) = mount_own_tmp() {
        return refused(&format!("no file system of the helper's own for a core file: {why}"));
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).expect("a limit can be read");
    let limit = if limit == "0" { 0 } else { hard };
    if limit == 0 && hard == 0 {
        return refused("the hard limit of RLIMIT_CORE is 0");
    }
    // Without the permission to write it, the kernel keeps no core file.
    umask(Mode::empty());
    let child = start(|| {
        let _ = prctl::set_dumpable(true);
        let set = setrlimit(Resource::RLIMIT_CORE, limit, hard);
        // SAFETY: the call ends this process with SIGABRT.
        if set.is_ok() { unsafe { libc::abort() } } else { 1 }
    });
    println!("kernel {}", if await_end(child) == libc::CLD_DUMPED { "dumped" } else { "killed" });
    println!("ours {}", words(status::wait(child)));
    println!("files {}", fs::read_dir(".").map_or(0, Iterator::count));
    println!("left {}", left());
    0
}

fn mount_own_tmp() -> Result<(), String> {
    let (user, group) = (geteuid(), getegid());
    let own_user = if user.is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
    unshare(own_user | CloneFlags::CLONE_NEWNS).map_err(|errno| format!("unshare: {errno}"))?;
    if !user.is_root() {
        // A user who is not mapped into the namespace cannot own files there.
        for (map, line) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{user} {user} 1")),
            ("gid_map", format!("{group} {group} 1")),
        ] {
            fs::write(format!("/proc/self/{map}"), line).map_err(|error| format!("{map}: {error}"))?;
        }
    }
    // Otherwise other processes would see what is mounted here.
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE)?;
    mount(c"tmpfs", c"/tmp", c"tmpfs", 0)?;
    chdir("/tmp").map_err(|errno| format!("chdir: {errno}"))
}

fn mount(what: &CStr, at: &CStr, kind: &CStr, flags: libc::c_ulong) -> Result<(), String> {
    // SAFETY: the three strings end with NUL, and a null pointer means that there are no further options.
    let mounted = unsafe { libc::mount(what.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, ptr::null()) };
    Errno::result(mounted).map(drop).map_err(|errno| format!("mount: {errno}"))
}
