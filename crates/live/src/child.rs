//! A program on the loop: its output in lines, its end, and a way to end it with all that it has started.
//!
//! Contract: no shell; the arguments and the environment are given here, and nothing of a request is among them that was not
//! looked up in the catalogue. The program is the child of a [`keeper`](crate::keeper), which ends it when this server closes
//! its lifeline or dies. Its standard input is /dev/null, and it inherits no descriptor but its standard output and error.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;

use ioloop::{Events, IoLoop, Token};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::unistd::Pid;
use prefork::pidfd_open;

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

/// What gets the lines and the end of a program.
pub trait Listener {
    /// A line, without its end. False: no more for now; [`Process::resume`] goes on.
    fn line(&self, ioloop: &IoLoop, from: From, line: &[u8]) -> bool;
    /// It has ended, and all its lines were given. None if it could not be waited for.
    fn ended(&self, ioloop: &IoLoop, status: Option<ExitStatus>);
}

/// A program that runs.
pub struct Process {
    /// Its keeper.
    child: RefCell<std::process::Child>,
    /// None once the run is to end.
    lifeline: RefCell<Option<PipeWriter>>,
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
    /// Start a program in a keeper, and give its lines to `listener`. The command is one of [`keeper::command`](crate::keeper::command).
    ///
    /// # Errors
    /// Those of fork(2), execve(2), pidfd_open(2) and of the loop.
    pub fn start(ioloop: &IoLoop, mut command: Command, listener: Rc<dyn Listener>) -> io::Result<Rc<Self>> {
        let (lifeline, kept) = io::pipe()?;
        command.stdin(lifeline).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        confine(&mut command);
        let mut child = command.spawn()?;
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
        let ended = pidfd_open(Pid::from_raw(child.id().cast_signed()))?;
        let process = Rc::new(Self {
            child: RefCell::new(child),
            lifeline: RefCell::new(Some(kept)),
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
                process.stop();
                process.forget(ioloop);
                Err(io::Error::from(error.errno))
            }
        }
    }

    /// End it: its keeper asks it to exit, and kills all that is left of it after two seconds.
    pub fn stop(&self) {
        self.lifeline.take();
    }

    /// End it, and block until nothing of it is left: for after the loop has ended.
    pub fn end_now(&self) {
        self.stop();
        let _ = self.child.borrow_mut().wait();
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
        if lines.is_empty() {
            return;
        }
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        let Some(listener) = self.listener.borrow().clone() else { return };
        let mut more = true;
        for line in lines.split(|byte| *byte == b'\n') {
            more &= listener.line(ioloop, from, line);
        }
        if !more && !self.over.get() {
            self.pause(ioloop);
        }
    }

    /// Its keeper has exited, so nothing of it is left.
    fn end(&self, ioloop: &IoLoop) {
        self.over.set(true);
        let status = self.child.borrow_mut().wait().ok();
        for from in [From::Output, From::Error] {
            // What is in a pipe is at most its capacity, unless the keeper could not end a process.
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

/// Let nothing of this process reach the program but its standard streams.
fn confine(command: &mut Command) {
    let mark = || {
        // Before Linux 5.11 there is no such flag. All that this program opens has it already, so this is a second lock.
        // SAFETY: close_range takes three numbers. With this flag it closes nothing before exec.
        unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
        Ok(())
    };
    // SAFETY: between fork and exec only close_range is called, which is a plain system call.
    unsafe { command.pre_exec(mark) };
}
