//! Files, pipes and pidfds for an experiment, and which descriptors are open.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, pipe2};

use super::Lab;
use crate::timeline::LOG;
use crate::verdict::{Result, cannot_ask};

impl Lab {
    /// A file of the given content, at offset 0, open for reading and writing. It never has a name, so nothing is left
    /// behind. Close-on-exec, like everything that Rust's std opens.
    pub fn file(&self, content: &[u8]) -> Result<File> {
        let mut file = File::from(memfd_create(c"notes", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(content)?;
        file.rewind()?;
        Ok(file)
    }

    /// The numbers of the open descriptors of this process, in order, without 0, 1 and 2 and without the laboratory's
    /// own, which have numbers from 200 on.
    pub fn descriptors(&self) -> Result<Vec<i32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            numbers.extend(entry?.file_name().to_string_lossy().parse::<i32>());
        }
        // The directory's own descriptor is in the list too, but is closed by now, so its link is gone.
        numbers.retain(|n| (3..LOG).contains(n) && fs::read_link(format!("/proc/self/fd/{n}")).is_ok());
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A pipe, nonblocking and close-on-exec at both ends, that holds exactly `capacity` bytes: read end, write end.
    ///
    /// A pipe consists of pages, so the question cannot be asked where a page is larger than `capacity`, or where the
    /// user has so many pipes already that the kernel makes small ones.
    pub fn nonblocking_pipe(&self, capacity: i32) -> Result<(OwnedFd, OwnedFd)> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        match fcntl(&writer, FcntlArg::F_SETPIPE_SZ(capacity)) {
            Ok(size) if size == capacity => Ok((reader, writer)),
            Ok(size) => Err(cannot_ask(format!("a pipe has {size} bytes instead of {capacity}"))),
            Err(error) => Err(cannot_ask(format!("a pipe cannot have {capacity} bytes: {error}"))),
        }
    }
}

/// A pidfd of a child that was not reaped yet, because its pid can be reused after that. Close-on-exec, like every pidfd.
///
/// pidfd_open(2) came with Linux 5.3, and some sandboxes refuse it: then the question cannot be asked.
pub fn pidfd(child: Pid) -> Result<OwnedFd> {
    match prefork::pidfd_open(child).map_err(|error| error.errno) {
        Ok(pidfd) => Ok(pidfd),
        Err(error @ (Errno::ENOSYS | Errno::EPERM)) => {
            Err(cannot_ask(format!("pidfd_open does not work here: {error}")))
        }
        Err(error) => Err(format!("pidfd_open({child}): {error}").into()),
    }
}
