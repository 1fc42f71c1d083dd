//! System calls in words: the ones that this crate is about, and nothing else.

use nix::libc::{self, c_long};

/// Calls that do the same for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

const READS: [c_long; 5] =
    [libc::SYS_read, libc::SYS_readv, libc::SYS_preadv2, libc::SYS_recvfrom, libc::SYS_recvmsg];
const WRITES: [c_long; 5] =
    [libc::SYS_write, libc::SYS_writev, libc::SYS_pwritev2, libc::SYS_sendto, libc::SYS_sendmsg];

/// One call: its number and its first four arguments, as the kernel got them.
pub struct Call {
    pub number: c_long,
    pub args: [u64; 4],
}

impl Call {
    /// Does it read or write?
    pub fn kind(&self) -> Option<Kind> {
        match self.number {
            number if READS.contains(&number) => Some(Kind::Read),
            number if WRITES.contains(&number) => Some(Kind::Write),
            _ => None,
        }
    }

    /// `pipe2 nonblocking marked`, or nothing for a call that is about something else.
    pub fn words(&self) -> Option<String> {
        let [first, second, third, _] = self.args;
        Some(match self.number {
            libc::SYS_pipe => "pipe blocking unmarked".into(),
            libc::SYS_pipe2 => format!("pipe2 {}", born(second)),
            libc::SYS_ioctl if second == libc::FIONBIO => "ioctl(FIONBIO)".into(),
            libc::SYS_ioctl if second == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
            libc::SYS_fcntl => match second as i32 {
                libc::F_GETFD => "fcntl(F_GETFD)".into(),
                libc::F_SETFD => format!("fcntl(F_SETFD) 0{third:o}"),
                libc::F_GETFL => "fcntl(F_GETFL)".into(),
                libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
                _ => return None,
            },
            _ => match self.kind()? {
                Kind::Read => format!("read {first}"),
                Kind::Write => format!("write {first}"),
            },
        })
    }
}

fn born(flags: u64) -> String {
    let has = |flag: i32| flags & flag as u64 != 0;
    let blocks = if has(libc::O_NONBLOCK) { "nonblocking" } else { "blocking" };
    let marked = if has(libc::O_CLOEXEC) { "marked" } else { "unmarked" };
    format!("{blocks} {marked}")
}
