//! `status core LIMIT`: a child that aborts, with that limit for the file its memory is written to.
//!
//! Contract: the file is written into a file system of the helper's own, which ends with the helper. Where there
//! can be none, or cores do not become files, nothing is tried.

use std::ffi::CStr;
use std::{fs, ptr};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{chdir, getegid, geteuid};
use prefork::status;

use super::super::super::children::{await_end, left, start};
use super::{refused, words};

pub fn run(limit: &str) -> i32 {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    // `|` is a program, `@` a socket, and a path from the root is a place that is not ours.
    if pattern.trim().is_empty() || pattern.starts_with(['|', '@', '/']) {
        return refused(&format!("core_pattern is {}", pattern.trim()));
    }
    if let Err(why) = a_place_of_its_own() {
        return refused(&format!("there is no place for a core file: {why}"));
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).expect("a limit can be asked for");
    let limit = if limit == "0" { 0 } else { hard };
    if limit == 0 && hard == 0 {
        return refused("RLIMIT_CORE is 0 for good");
    }
    let child = start(|| {
        let _ = prctl::set_dumpable(true);
        let set = setrlimit(Resource::RLIMIT_CORE, limit, hard);
        // SAFETY: ends this process, by SIGABRT.
        if set.is_ok() { unsafe { libc::abort() } } else { 1 }
    });
    println!("kernel {}", if await_end(child) == libc::CLD_DUMPED { "dumped" } else { "killed" });
    println!("ours {}", words(status::wait(child)));
    println!("files {}", fs::read_dir(".").map_or(0, Iterator::count));
    println!("left {}", left());
    0
}

fn a_place_of_its_own() -> Result<(), String> {
    let (user, group) = (geteuid(), getegid());
    let own_user = if user.is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
    unshare(own_user | CloneFlags::CLONE_NEWNS).map_err(|errno| format!("unshare: {errno}"))?;
    if !user.is_root() {
        // Nobody can own a file whom the namespace does not know.
        for (map, line) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{user} {user} 1")),
            ("gid_map", format!("{group} {group} 1")),
        ] {
            fs::write(format!("/proc/self/{map}"), line).map_err(|error| format!("{map}: {error}"))?;
        }
    }
    // Or what is mounted here would be seen outside.
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE)?;
    mount(c"tmpfs", c"/tmp", c"tmpfs", 0)?;
    chdir("/tmp").map_err(|errno| format!("chdir: {errno}"))
}

fn mount(what: &CStr, at: &CStr, kind: &CStr, flags: libc::c_ulong) -> Result<(), String> {
    // SAFETY: three strings that end with NUL; a null pointer stands for no further options.
    let mounted = unsafe { libc::mount(what.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, ptr::null()) };
    Errno::result(mounted).map(drop).map_err(|errno| format!("mount: {errno}"))
}
