//! The book's server at one of its stages, in a process of its own, and clients of it on lanes of their own.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::SYS_kill;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, pipe2};

use super::child::Child;
use super::tcp::await_end_of_file;
use super::workers::workers;
use super::{Lab, Lane};
use crate::environment::needs;
use crate::question::Role;
use crate::report::vary;
use crate::verdict::Result;

/// The roles of an experiment that starts a [`Server`].
pub const STAGES: [(&str, Role); 11] = [
    ("stage-1", |lab| serve(1, lab)),
    ("stage-2", |lab| serve(2, lab)),
    ("stage-3", |lab| serve(3, lab)),
    ("stage-4", |lab| serve(4, lab)),
    ("stage-5", |lab| serve(5, lab)),
    ("stage-6", |lab| serve(6, lab)),
    ("stage-7", |lab| serve(7, lab)),
    ("stage-8", |lab| serve(8, lab)),
    ("stage-9", |lab| serve(9, lab)),
    ("stage-10", |lab| serve(10, lab)),
    ("stage-12", |lab| serve(12, lab)),
];

/// The longest text that a note quotes.
const QUOTED: usize = 24;

fn serve(stage: usize, lab: &mut Lab) -> Result<i32> {
    let more = lab.args().first().ok_or("no file of programs was given")?;
    lab.serve(stage, more)
}

/// A server. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
}

/// A client of a server, with a lane.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    lane: Lane,
}

impl Lab {
    /// Start a stage of the server, from 1 on, with the programs of its table and of the file `more`. The roles of the
    /// experiment must be [`STAGES`]. What the server reports of clients and workers is not shown.
    pub fn server(&mut self, stage: usize, more: &str) -> Result<Server> {
        self.server_on("server", stage, more)
    }

    /// The same, on a lane with this name, for an experiment that runs two servers at once.
    pub fn server_on(&mut self, lane: &str, stage: usize, more: &str) -> Result<Server> {
        // It checks that 127.0.0.1 can be used.
        drop(self.listen()?);
        // The server's programs would outlive it.
        needs(&[SYS_kill])?;
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let silent = OpenOptions::new().write(true).open("/dev/null")?;
        let child = self.fork(lane, |lab| {
            dup2_stdout(&writer)?;
            dup2_stderr(&silent)?;
            lab.exec(&format!("stage-{stage}"), &[more], format!("exec: stage {stage}").as_str())?;
            Ok(1)
        })?;
        drop(writer);
        let mut line = String::new();
        BufReader::new(File::from(reader)).read_line(&mut line)?;
        // listening on 127.0.0.1:7007; try: …
        let port = line.split([':', ';']).nth(1).and_then(|port| port.parse().ok());
        Ok(Server { child, port: port.ok_or_else(|| format!("the server did not start: {line:?}"))? })
    }

    /// Serve in this process, as a stage does, with the programs of its table and of the file `more`. Gives its exit status.
    pub fn serve(&self, stage: usize, more: &str) -> Result<i32> {
        let run = stages::stage(stage).ok_or_else(|| format!("there is no stage {stage}"))?;
        Ok(match run(0, Path::new(more)) {
            Ok(()) => 0,
            Err(error) => {
                // The number says it, and the line is short enough for a transcript.
                let said = error.to_string();
                self.note(said.split_once(": Operation").map_or(&*said, |(short, _)| short));
                // An experiment that wants this agrees; for the others it is the reason to skip.
                self.refused(&error.into());
                1
            }
        })
    }

    /// Connect a client.
    pub fn client(&self, name: &str, server: &Server) -> Result<Client> {
        let stream = self.connect(server.port)?;
        Ok(Client { stream, lane: self.thread(name, "connects") })
    }
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.child.pid()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The workers that it has forked to serve clients, in the order of their forks, once there are `n` of them that sleep.
    pub fn workers(&self, n: usize) -> Result<Vec<Pid>> {
        workers(self.pid(), n)
    }

    /// Send it SIGTERM, and reap it when it has exited.
    pub fn terminate(self, lab: &Lab) -> Result {
        kill(self.child.pid(), Signal::SIGTERM)?;
        self.child.wait(lab)?;
        Ok(())
    }

    /// Send it SIGTERM.
    pub fn send_sigterm(&self, lab: &Lab) -> Result {
        lab.note("SIGTERM for the server");
        Ok(kill(self.child.pid(), Signal::SIGTERM)?)
    }

    /// Wait until it exits, and reap it.
    pub fn wait(self, lab: &Lab) -> Result<WaitStatus> {
        self.child.wait(lab)
    }

    /// Kill and reap it.
    pub fn kill(self, lab: &Lab) -> Result {
        kill(self.child.pid(), Signal::SIGKILL)?;
        self.child.wait(lab)?;
        Ok(())
    }
}

impl Client {
    /// Send a part of a request.
    pub fn send(&self, text: &str) -> Result {
        self.lane.note(format!("sends {}", quoted(text)));
        (&self.stream).write_all(text.as_bytes())?;
        Ok(())
    }

    /// Send the last part of a request, and shut down the sending side. When this returns, all of it has arrived: so of
    /// two clients, the server can see the request of the one before.
    pub fn send_last(&self, text: &str) -> Result {
        self.lane.note(format!("sends {}, then EOF", quoted(text)));
        self.end(text)
    }

    /// Send the request for a program that runs until this process exits.
    pub fn send_last_with_pid(&self, name: &str) -> Result {
        let pid = std::process::id();
        self.lane.note(format!("sends \"{name}\\n{}\", then EOF", vary("our pid", pid)));
        self.end(&format!("{name}\n{pid}\n"))
    }

    fn end(&self, text: &str) -> Result {
        // Now, because the whole answer may have come a moment later, and the socket has no peer then.
        let [from, port] = [self.stream.local_addr()?.port(), self.stream.peer_addr()?.port()];
        (&self.stream).write_all(text.as_bytes())?;
        self.stream.shutdown(Shutdown::Write)?;
        await_end_of_file(from, port)
    }

    /// Wait for a line with the pid of a process.
    pub fn pid(&self) -> Result<Pid> {
        let mut line = Vec::new();
        // Byte by byte, so that what follows the line stays in the socket.
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            (&self.stream).read_exact(&mut byte)?;
            line.extend(byte);
        }
        let pid: i32 = String::from_utf8(line)?.trim().parse()?;
        self.lane.note(format!("gets \"{}\\n\"", vary("pid", pid)));
        Ok(Pid::from_raw(pid))
    }

    /// Wait a moment. Returns whether nothing comes, neither bytes nor end of file.
    pub fn gets_nothing(&self) -> Result<bool> {
        let mut watched = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        let nothing = poll(&mut watched, 100_u8)? == 0;
        if nothing {
            self.lane.note("poll for 100 ms: nothing");
        }
        Ok(nothing)
    }

    /// Wait for end of file, and close the connection. Returns what came before; `None` if the connection was reset.
    pub fn rest(self, lab: &Lab) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let outcome = (&self.stream).read_to_end(&mut bytes);
        let text = String::from_utf8(bytes)?;
        match outcome {
            Ok(0) => lab.ended(&self.lane, "gets end of file"),
            Ok(_) => lab.ended(&self.lane, format!("gets {}, then EOF", quoted(&text))),
            Err(error) if error.raw_os_error() == Some(Errno::ECONNRESET as i32) => {
                lab.ended(&self.lane, "gets ECONNRESET");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Some(text))
    }
}

/// A text as a note shows it: quoted, or its length.
fn quoted(text: &str) -> String {
    if text.len() <= QUOTED { format!("{text:?}") } else { format!("{} bytes", text.len()) }
}
