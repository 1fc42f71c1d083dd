//! A client that resets its connection before it is accepted; and what an accepted socket inherits from its listener.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, hang_up, vary};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{SockFlag, accept4, getsockopt, setsockopt, sockopt};
use nix::unistd::read;

const QUESTION: Question = Question {
    question: "What does accept return for a client that has already reset its connection?",
    setup: "A client connects and resets the connection before the server calls accept. What does the \
            server's accept return then?",
    choices: &[
        Choice::new("ECONNABORTED, which its man page lists for this.")
            .because("On Linux accept returned a socket, and the first read reported the reset."),
        Choice::new("EAGAIN: the connection is gone, and the kernel has removed it from the queue.")
            .because("The connection stays in the queue: poll reported the listener, and accept worked."),
        Choice::new("A socket, as always; a read from it fails with ECONNRESET."),
        Choice::new("A socket, as always; a read from it returns end of file.")
            .because("The first read reports the reset, ECONNRESET; only the next one is end of file."),
    ],
    book: 2,
    shows: "The reset closes the connection and leaves it in the queue. On Linux accept returns it, and the first \
            read reports the reset. On other systems accept fails with ECONNABORTED, so a server should handle both.",
    lane: "server",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let choice = aborted(lab)?;
        inherited(lab)?;
        Ok(choice)
    })
}

fn aborted(lab: &Lab) -> Result<usize> {
    let listener = lab.listen()?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    lab.note(format!("listen on port {}, nonblocking", vary("port", port)));
    // ANCHOR: core
    let client = lab.connect(port)?;
    let from = client.local_addr()?;
    hang_up(client)?;
    lab.await_arrival(from.port(), port)?;
    lab.note("a client connects, and closes with a reset");
    let ready = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], 0_u8)?;
    lab.note(format!("poll: {}", if ready == 1 { "the listener is ready" } else { "nothing" }));
    lab.check(ready == 1, "the connection is still in the queue");
    let accepted = listener.accept();
    // ANCHOR_END: core
    let (socket, of) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            lab.note(format!("accept: {error}"));
            return match error.kind() {
                ErrorKind::ConnectionAborted => Ok(0),
                ErrorKind::WouldBlock => Ok(1),
                _ => Err(error.into()),
            };
        }
    };
    lab.note("accept: a socket, and the client's address");
    lab.check(of == from, "accept even returns the address of the client that is gone");
    let first = read(&socket, &mut [0; 8]);
    lab.note(format!("read: {}", said(first)));
    let second = read(&socket, &mut [0; 8]);
    lab.note(format!("read again: {}", said(second)));
    lab.check(second == Ok(0), "the error is reported once; after that, read returns end of file");
    match first {
        Err(Errno::ECONNRESET) => Ok(2),
        Ok(0) => Ok(3),
        other => Err(format!("none of the choices: read: {other:?}").into()),
    }
}

fn said(outcome: nix::Result<usize>) -> String {
    match outcome {
        Ok(0) => "end of file".into(),
        Ok(length) => format!("{length} bytes"),
        Err(error) => format!("{error:?}"),
    }
}

/// The flags and the option of a socket.
#[derive(Debug, PartialEq, Eq)]
struct Has {
    nonblocking: bool,
    cloexec: bool,
    nodelay: bool,
}

impl Has {
    fn of(socket: impl AsFd) -> Result<Self> {
        let socket = socket.as_fd();
        Ok(Self {
            nonblocking: OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?)
                .contains(OFlag::O_NONBLOCK),
            cloexec: FdFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFD)?).contains(FdFlag::FD_CLOEXEC),
            nodelay: getsockopt(&socket, sockopt::TcpNoDelay)?,
        })
    }

    fn note(&self, lab: &Lab, who: &str) {
        let all = [
            ("O_NONBLOCK", self.nonblocking),
            ("close-on-exec", self.cloexec),
            ("TCP_NODELAY", self.nodelay),
        ];
        let has: Vec<_> = all.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        lab.note(format!("{who} {}", has.join(", ")));
    }
}

/// Show what an accepted socket inherits from its listener.
fn inherited(lab: &Lab) -> Result {
    let listener = lab.listen()?;
    listener.set_nonblocking(true)?;
    setsockopt(&listener, sockopt::TcpNoDelay, &true)?;
    let port = listener.local_addr()?.port();
    Has::of(&listener)?.note(lab, "the listener has");
    let mut seen = Vec::new();
    let both = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    for (flags, what) in [(SockFlag::empty(), "accept"), (both, "accept4, both flags")] {
        let client = lab.connect(port)?;
        lab.await_queued(&client)?;
        let raw = accept4(listener.as_raw_fd(), flags)?;
        // SAFETY: accept4 made this descriptor a moment ago, so its number is known here only.
        let accepted = unsafe { OwnedFd::from_raw_fd(raw) };
        let has = Has::of(&accepted)?;
        has.note(lab, &format!("{what}:"));
        seen.push(has);
        hang_up(client)?;
    }
    lab.check(!seen[0].nonblocking, "O_NONBLOCK is not inherited from the listener");
    lab.check(!seen[0].cloexec, "close-on-exec is not inherited from the listener");
    lab.check(seen[0].nodelay, "TCP_NODELAY, an option of the socket, is inherited");
    lab.check(seen[1].nonblocking && seen[1].cloexec, "accept4 sets both flags, in the same call");
    Ok(())
}
