//! Network system calls that a tracer answers in the kernel's place.
//!
//! A test describes the kernel in one word. `as-it-is` changes nothing. `bind6:1=EADDRINUSE,accept:*=ECONNABORTED` lets
//! the first bind of an IPv6 socket fail with EADDRINUSE, and every accept with ECONNABORTED, without making the calls.
//! `read:*=FULL` lets every read fill its buffer, as from a peer that sends without end. `watch=PATH` changes nothing,
//! and prints the permissions of the file at that path after each call.
//!
//! The tests need this because few machines have a kernel without IPv6, Linux rarely returns ECONNABORTED, and ENFILE
//! would need a full file table of the whole system.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

/// How this kernel differs from the real one.
#[derive(Default)]
pub struct Network {
    answers: Vec<Answer>,
    watch: Option<PathBuf>,
    /// The number of calls of each kind so far.
    counts: BTreeMap<String, usize>,
    /// The address family of each socket, by its descriptor. The entry of a closed socket stays until the descriptor is
    /// reused.
    families: BTreeMap<u64, i32>,
}

struct Answer {
    /// The kind of call, for example `bind6` or `accept`.
    kind: String,
    /// Which call of this kind, counted from 1. `None` means every one.
    which: Option<usize>,
    /// `None` means as many bytes as the caller has room for.
    answer: Option<i64>,
}

/// Parse a test's description of the kernel. `None` if it has another form.
pub fn parse(words: &str) -> Option<Network> {
    if words == "as-it-is" {
        return Some(Network::default());
    }
    if let Some(path) = words.strip_prefix("watch=") {
        return Some(Network { watch: Some(path.into()), ..Network::default() });
    }
    let answers = words.split(',').map(answer).collect::<Option<_>>()?;
    Some(Network { answers, ..Network::default() })
}

fn answer(word: &str) -> Option<Answer> {
    let (call, errno) = word.split_once('=')?;
    let (kind, which) = call.split_once(':')?;
    let which = if which == "*" { None } else { Some(which.parse().ok()?) };
    let known = (1..134).map(Errno::from_raw).find(|each| format!("{each:?}") == errno);
    let answer = if errno == "FULL" { None } else { Some(-(known? as i64)) };
    Some(Answer { kind: kind.into(), which, answer })
}

impl Network {
    /// The address family of the socket with this descriptor, `inet6` for example.
    fn family(&self, number: u64) -> &'static str {
        family(self.families.get(&number).copied().unwrap_or(libc::AF_UNSPEC))
    }

    /// The kind of this call, by which a test names it. `None` for calls that are never answered here.
    fn kind(&self, call: &Call) -> Option<String> {
        let family = match call.name {
            "socket" => family(call.args[0] as i32),
            "bind" | "listen" => self.family(call.args[0]),
            "accept" | "accept4" => return Some("accept".into()),
            "read" | "recvfrom" => return Some("read".into()),
            "setsockopt" | "fchmod" => return Some(call.name.into()),
            "wait4" | "waitid" => return Some("wait".into()),
            "chmod" | "fchmodat" => return Some("chmod".into()),
            "unlink" | "unlinkat" => return Some("unlink".into()),
            _ => return None,
        };
        let digit = match family {
            "inet" => "4",
            "inet6" => "6",
            _ => "",
        };
        Some(format!("{}{digit}", call.name))
    }
}

impl tracer::Kernel for Network {
    fn words(&self, call: &Call) -> Option<String> {
        let [first, second, third, fourth] = call.args;
        let what = match call.name {
            "socket" => format!("socket {} {}", family(first as i32), flags(second)),
            "setsockopt" if self.answers.iter().any(|answer| answer.kind == "setsockopt") => call.name.into(),
            "accept" => "accept blocking inheritable".into(),
            "accept4" => format!("accept4 {}", flags(fourth)),
            "bind" | "listen" => format!("{} {}", call.name, self.family(first)),
            "connect" | "chmod" | "fchmod" | "fchmodat" | "umask" | "unlink" | "unlinkat" | "shutdown" => {
                call.name.into()
            }
            "fcntl" => match second as i32 {
                libc::F_SETFD => format!("fcntl(F_SETFD) {third}"),
                libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
                _ => return None,
            },
            "read" | "recvfrom" if self.answers.iter().any(|answer| answer.kind == "read") => "read".into(),
            "ioctl" if second as libc::c_ulong == libc::FIONBIO => "ioctl(FIONBIO)".into(),
            "ioctl" if second as libc::c_ulong == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
            _ => return None,
        };
        let Some(path) = &self.watch else { return Some(what) };
        let mode = fs::symlink_metadata(path).map(|file| file.permissions().mode() & 0o7777);
        Some(format!("{what} | {}", mode.map_or("no file".into(), |mode| format!("{mode:04o}"))))
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let kind = self.kind(call)?;
        let count = self.counts.entry(kind.clone()).or_default();
        *count += 1;
        let applies =
            |answer: &&Answer| answer.kind == kind && answer.which.is_none_or(|each| each == *count);
        // Of read and recvfrom, the third argument is the length of the buffer.
        self.answers.iter().find(applies).map(|each| each.answer.unwrap_or(call.args[2] as i64))
    }

    fn told(&mut self, call: &Call, answer: i64) -> i64 {
        if let ("socket", Ok(number)) = (call.name, u64::try_from(answer)) {
            self.families.insert(number, call.args[0] as i32);
        }
        answer
    }
}

fn family(number: i32) -> &'static str {
    match number {
        libc::AF_INET => "inet",
        libc::AF_INET6 => "inet6",
        libc::AF_UNIX => "unix",
        _ => "other",
    }
}

fn flags(flags: u64) -> String {
    let has = |flag: i32| flags & flag as u64 != 0;
    let blocks = if has(libc::SOCK_NONBLOCK) { "nonblocking" } else { "blocking" };
    let on_exec = if has(libc::SOCK_CLOEXEC) { "close-on-exec" } else { "inheritable" };
    format!("{blocks} {on_exec}")
}
