//! A child process on the loop: its output in lines, its end, and a way to end it with all that it has started.
//!
//! Contract: no shell; the arguments and the environment are given here, and nothing of a request is among them that was not
//! looked up in the catalogue. Its standard input is /dev/null, it inherits no other descriptor, it is the leader of a process
//! group of its own, and it gets SIGKILL when the server dies.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use ioloop::{Events, IoLoop, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};

/// How long a child may take to end what it has started, before all of it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// The longest line that is kept whole, in bytes.
const LINE: usize = 1 << 20;

/// Which output a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The standard output.
    Output,
    /// The standard error.
    Error,
}

/// What gets the lines and the end of a child.
pub trait Listener {
    /// A line, without its end. False: no more for now; [`Process::resume`] goes on.
    fn line(&self, ioloop: &IoLoop, from: From, line: &[u8]) -> bool;
    /// It has ended, and all its lines were given. None if it could not be waited for.
    fn ended(&self, ioloop: &IoLoop, status: Option<ExitStatus>);
}

/// A child that runs.
pub struct Process {
    group: Pid,
    child: RefCell<std::process::Child>,
    listener: RefCell<Option<Rc<dyn Listener>>>,
    pipes: [RefCell<Pipe>; 2],
    /// The handlers of the pipes and of its pidfd.
    tokens: RefCell<Vec<Token>>,
    over: Cell<bool>,
}

struct Pipe {
    file: Box<dyn Read>,
    partial: Vec<u8>,
    open: bool,
}

impl Process {
    /// Start a program, and give its lines to `listener`.
    ///
    /// # Errors
    /// Those of fork(2), execve(2), pidfd_open(2) and of the loop.
    pub fn start(ioloop: &IoLoop, mut command: Command, listener: Rc<dyn Listener>) -> io::Result<Rc<Self>> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        confine(&mut command);
        let mut child = command.spawn()?;
        let group = Pid::from_raw(child.id().cast_signed());
        let missing = || io::Error::from(ErrorKind::BrokenPipe);
        let out = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
        let err = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
        let mut pipes = Vec::new();
        for fd in [&out, &err] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let file = Box::new(std::fs::File::from(fd.try_clone()?));
            pipes.push(RefCell::new(Pipe { file, partial: Vec::new(), open: true }));
        }
        let Ok(pipes) = <[_; 2]>::try_from(pipes) else { return Err(missing()) };
        let ended = pidfd(group)?;
        let process = Rc::new(Self {
            group,
            child: RefCell::new(child),
            listener: RefCell::new(Some(listener)),
            pipes,
            tokens: RefCell::default(),
            over: Cell::new(false),
        });
        let add = |fd: OwnedFd, read: fn(&Rc<Self>, &IoLoop)| {
            let own = Rc::clone(&process);
            let token = ioloop.add_handler(fd, Events::READ, move |ioloop, _, _| read(&own, ioloop));
            token.map(|token| process.tokens.borrow_mut().push(token))
        };
        let added = add(out, |own, ioloop| own.read(ioloop, From::Output))
            .and_then(|()| add(err, |own, ioloop| own.read(ioloop, From::Error)))
            .and_then(|()| add(ended, |own, ioloop| own.end(ioloop)));
        match added {
            Ok(()) => Ok(process),
            Err(error) => {
                process.kill(Signal::SIGKILL);
                process.forget(ioloop);
                Err(io::Error::from(error.errno))
            }
        }
    }

    /// Ask it to end, and kill its whole group if it has not ended in time.
    pub fn stop(self: &Rc<Self>, ioloop: &IoLoop) {
        if self.over.get() {
            return;
        }
        self.kill(Signal::SIGTERM);
        let own = Rc::clone(self);
        ioloop.call_later(GRACE, move |_| own.kill(Signal::SIGKILL));
    }

    /// Send a signal to its group. Does nothing after its end, when another group may have the number.
    pub fn kill(&self, signal: Signal) {
        if !self.over.get() {
            let _ = killpg(self.group, signal);
        }
    }

    /// Stop reading what it prints. It waits when its pipe is full.
    pub fn pause(&self, ioloop: &IoLoop) {
        for token in self.tokens.borrow().iter() {
            let _ = ioloop.pause_handler(*token);
        }
    }

    /// Read on.
    pub fn resume(&self, ioloop: &IoLoop) {
        for token in self.tokens.borrow().iter() {
            let _ = ioloop.resume_handler(*token);
        }
    }

    fn read(&self, ioloop: &IoLoop, from: From) {
        self.drain(ioloop, from, 1);
        let index = from as usize;
        if !self.pipes[index].borrow().open {
            // At end of file a pipe stays readable.
            if let Some(token) = self.tokens.borrow().get(index) {
                ioloop.remove_handler(*token);
            }
        }
    }

    /// Read a pipe, at most so often, and give its lines away.
    fn drain(&self, ioloop: &IoLoop, from: From, reads: usize) {
        let mut chunk = vec![0; 1 << 14];
        for _ in 0..reads {
            let mut pipe = self.pipes[from as usize].borrow_mut();
            let read = if pipe.open { pipe.file.read(&mut chunk) } else { Ok(0) };
            match read {
                Ok(0) => pipe.open = false,
                Ok(length) => pipe.partial.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => pipe.open = false,
            }
            let is_over = !pipe.open;
            let mut rest = std::mem::take(&mut pipe.partial);
            drop(pipe);
            let whole = match rest.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => end + 1,
                None if is_over || rest.len() > LINE => rest.len(),
                None => 0,
            };
            let after = rest.split_off(whole);
            self.give(ioloop, from, &rest);
            self.pipes[from as usize].borrow_mut().partial = after;
            if is_over {
                return;
            }
        }
    }

    fn give(&self, ioloop: &IoLoop, from: From, lines: &[u8]) {
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        if lines.is_empty() {
            return;
        }
        let Some(listener) = self.listener.borrow().clone() else { return };
        let mut more = true;
        for line in lines.split(|byte| *byte == b'\n') {
            more &= listener.line(ioloop, from, line);
        }
        if !more && !self.over.get() {
            self.pause(ioloop);
        }
    }

    /// Its first process has ended, and is not reaped yet, so its number is still that of its group.
    fn end(&self, ioloop: &IoLoop) {
        self.kill(Signal::SIGKILL);
        self.over.set(true);
        let status = self.child.borrow_mut().wait().ok();
        for from in [From::Output, From::Error] {
            // What is in a pipe is at most its capacity, unless a process that left the group goes on writing.
            self.drain(ioloop, from, 128);
        }
        self.forget(ioloop);
        if let Some(listener) = self.listener.take() {
            listener.ended(ioloop, status);
        }
    }

    fn forget(&self, ioloop: &IoLoop) {
        self.tokens.take().into_iter().for_each(|token| ioloop.remove_handler(token));
    }
}

/// Let nothing of this process reach the child but its standard streams, and let it die with this process.
fn confine(command: &mut Command) {
    let server = getpid();
    let ask = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != server {
            return Err(Errno::ESRCH.into());
        }
        // Before Linux 5.11 there is no such flag. All that this program opens has it already, so this is a second lock.
        // SAFETY: close_range takes three numbers. With this flag it closes nothing before exec.
        unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
        Ok(())
    };
    // SAFETY: between fork and exec only prctl, getppid and close_range are called, which are plain system calls.
    unsafe { command.pre_exec(ask) };
}

/// A descriptor that is readable once the process has ended: pidfd_open(2).
fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers and touches no memory. nix and libc have no function for it.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0_u32) };
    let fd = i32::try_from(Errno::result(opened)?).map_err(io::Error::other)?;
    // SAFETY: the kernel made this descriptor a moment ago, so its number is known here only.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
