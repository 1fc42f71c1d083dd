//! A kernel whose network differs from this one's, in the words of a test.
//!
//! `as-it-is`; or answers of our own, like `bind6:1=EADDRINUSE,accept:*=ECONNABORTED`: the first bind of an IPv6
//! socket does nothing and answers that, and so does every accept. `watch=PATH` changes nothing, and shows the
//! permissions of the file at that path behind each call.
//!
//! A kernel without IPv6 is not at hand, ECONNABORTED is never seen on Linux, and ENFILE is the whole machine's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

/// What is different about it.
#[derive(Default)]
pub struct Network {
    answers: Vec<Answer>,
    watch: Option<PathBuf>,
    /// How many calls of a kind there were.
    turns: BTreeMap<String, usize>,
    /// The family of each socket, by its number. One that was closed is there until its number is another's.
    families: BTreeMap<u64, i32>,
}

struct Answer {
    /// `bind6`, `accept`
    kind: String,
    /// Counted from 1; nothing for every one.
    turn: Option<usize>,
    answer: i64,
}

/// Nothing for words that mean nothing.
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
    let (kind, turn) = call.split_once(':')?;
    let turn = if turn == "*" { None } else { Some(turn.parse().ok()?) };
    // Of any name that an errno has.
    let errno = (1..134).map(Errno::from_raw).find(|each| format!("{each:?}") == errno)?;
    Some(Answer { kind: kind.into(), turn, answer: -(errno as i64) })
}

impl Network {
    /// `inet6` for a number that is such a socket's.
    fn family(&self, number: u64) -> &'static str {
        family(self.families.get(&number).copied().unwrap_or(libc::AF_UNSPEC))
    }

    /// What a test calls it, when it wants to answer in the kernel's place.
    fn kind(&self, call: &Call) -> Option<String> {
        let family = match call.name {
            "socket" => family(call.args[0] as i32),
            "bind" | "listen" => self.family(call.args[0]),
            "accept" | "accept4" => return Some("accept".into()),
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
            "socket" => format!("socket {} {}", family(first as i32), born(second)),
            "accept" => "accept blocking inheritable".into(),
            "accept4" => format!("accept4 {}", born(fourth)),
            "bind" | "listen" => format!("{} {}", call.name, self.family(first)),
            "connect" | "chmod" | "fchmod" | "fchmodat" | "umask" | "unlink" | "unlinkat" | "shutdown" => {
                call.name.into()
            }
            "fcntl" => match second as i32 {
                libc::F_SETFD => format!("fcntl(F_SETFD) {third}"),
                libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
                _ => return None,
            },
            "ioctl" if second == libc::FIONBIO => "ioctl(FIONBIO)".into(),
            "ioctl" if second == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
            _ => return None,
        };
        let Some(path) = &self.watch else { return Some(what) };
        let mode = fs::symlink_metadata(path).map(|file| file.permissions().mode() & 0o7777);
        Some(format!("{what} | {}", mode.map_or("no file".into(), |mode| format!("{mode:04o}"))))
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let kind = self.kind(call)?;
        let turn = self.turns.entry(kind.clone()).or_default();
        *turn += 1;
        let due = |answer: &&Answer| answer.kind == kind && answer.turn.is_none_or(|each| each == *turn);
        self.answers.iter().find(due).map(|each| each.answer)
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

fn born(flags: u64) -> String {
    let has = |flag: i32| flags & flag as u64 != 0;
    let blocks = if has(libc::SOCK_NONBLOCK) { "nonblocking" } else { "blocking" };
    let on_exec = if has(libc::SOCK_CLOEXEC) { "close-on-exec" } else { "inheritable" };
    format!("{blocks} {on_exec}")
}
