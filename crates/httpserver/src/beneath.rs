//! Opening files below a folder, and never one outside it.
//!
//! Contract: whatever the names are, and whatever another process renames meanwhile, what is opened is a regular file or a
//! folder that was reached from the root by going down. Symbolic links are followed as long as they stay below the root; one
//! that leads out, or an absolute one, is refused. Opening never blocks: not on a FIFO without a writer, not on a device.
//!
//! openat2(2) does all of this in one call (Linux 5.6). A sandbox can refuse that call. Then each component is opened on its
//! own with `O_NOFOLLOW`, and links are resolved here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// How many symbolic links a path may go through, as in path_resolution(7).
const LINKS: u32 = 40;

/// How often a lookup is tried again that raced with a rename: see openat2(2), `EAGAIN`.
const RACES: u32 = 16;

/// Files are opened like this. A FIFO and a device do not block with `O_NONBLOCK`; `O_NOCTTY` keeps a terminal from becoming
/// the one that controls this process.
const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// A folder, and how names below it are looked up.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    lookup: Lookup,
}

/// How the names below a folder are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// In one system call, openat2(2).
    Openat2,
    /// One call for each component.
    Components,
}

/// What a name stands for.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(OpenFile),
    /// A folder.
    Folder,
}

/// A regular file, open for reading, and its state when it was opened: that of the descriptor, not of the name, which can
/// stand for another file by now.
#[derive(Debug)]
pub struct OpenFile {
    /// The descriptor.
    pub fd: OwnedFd,
    /// Its length in bytes. 0 also for files that have content only when they are read, as in /proc.
    pub size: u64,
    /// When its content was last changed.
    pub modified: SystemTime,
    /// Its inode number.
    pub inode: u64,
}

impl OpenFile {
    fn new(fd: OwnedFd, stat: &FileStat) -> Self {
        let seconds = Duration::from_secs(wide(stat.st_mtime.unsigned_abs()));
        let whole = match stat.st_mtime {
            0.. => UNIX_EPOCH.checked_add(seconds),
            _ => UNIX_EPOCH.checked_sub(seconds),
        };
        let nanoseconds = Duration::from_nanos(wide(stat.st_mtime_nsec.unsigned_abs()));
        let modified = whole.and_then(|whole| whole.checked_add(nanoseconds)).unwrap_or(UNIX_EPOCH);
        Self { fd, size: wide(stat.st_size.unsigned_abs()), modified, inode: wide(stat.st_ino) }
    }
}

/// A number of fstat(2), which has 32 bits on some machines.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

impl Root {
    /// Opens a folder. The folder stays the same one if its path is renamed or replaced later.
    ///
    /// # Errors
    /// The errors of open(2), "ERRORS": `ENOENT` if there is no such folder, `ENOTDIR` if it is a file, `EACCES` if the caller
    /// may not enter a folder on the way.
    pub fn open(path: &Path) -> cloexec::Result<Self> {
        let root = Self::open_with(path, Lookup::Openat2)?;
        let lookup = match beneath(root.folder.as_fd(), ".") {
            // Also `EPERM`: older sandboxes answer so to a call that they do not know.
            Err(Errno::ENOSYS | Errno::EPERM) => Lookup::Components,
            _ => Lookup::Openat2,
        };
        Ok(Self { lookup, ..root })
    }

    /// Opens a folder whose names are looked up in this way.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, lookup: Lookup) -> cloexec::Result<Self> {
        let folder = cloexec::open::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
        Ok(Self { folder, lookup })
    }

    /// Returns how names are looked up.
    pub fn lookup(&self) -> Lookup {
        self.lookup
    }

    /// Opens what `names` stands for: names separated by slashes, the folder itself if empty.
    ///
    /// # Errors
    /// `ENOENT` if there is nothing by this name, or something that is neither a regular file nor a folder; `ENOTDIR` if a name
    /// on the way is no folder; `EXDEV` if a link leads out; `ELOOP` after 40 links; and the errors of open(2), "ERRORS":
    /// `EACCES`, `EMFILE`, `ENFILE`, `ENAMETOOLONG`.
    pub fn find(&self, names: &str) -> Result<Found, Errno> {
        let names = if names.is_empty() { "." } else { names };
        let opened = match self.lookup {
            Lookup::Openat2 => beneath(self.folder.as_fd(), names),
            Lookup::Components => by_components(self.folder.as_fd(), names),
        };
        let fd = match opened {
            // A socket, or a FIFO or a device whose other side is missing.
            Err(Errno::ENXIO | Errno::ENODEV) => return Err(Errno::ENOENT),
            opened => opened?,
        };
        let stat = fstat(&fd)?;
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Ok(Found::File(OpenFile::new(fd, &stat))),
            SFlag::S_IFDIR => Ok(Found::Folder),
            _ => Err(Errno::ENOENT),
        }
    }
}

/// Opens `names` with openat2(2).
fn beneath(folder: BorrowedFd<'_>, names: &str) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(FLAGS).resolve(resolve);
    for _ in 0..RACES {
        match openat2(folder, names, how) {
            // A `..` in a link met a rename somewhere in the system; or a signal came.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            opened => return opened,
        }
    }
    by_components(folder, names)
}

/// Opens `names` with a call for each component, and resolves links here. A `..` in a link goes back to the folder from which
/// the lookup came, which is still open, so a rename cannot make it lead elsewhere.
fn by_components(root: BorrowedFd<'_>, names: &str) -> Result<OwnedFd, Errno> {
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut pending = Vec::new();
    let mut links = 0;
    push(&mut pending, names.as_bytes());
    while let Some(name) = pending.pop() {
        let here = folders.last().map_or(root, AsFd::as_fd);
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                folders.pop().ok_or(Errno::EXDEV)?;
                continue;
            }
            _ => {}
        }
        let last = pending.is_empty();
        let flags = if last { FLAGS } else { OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC };
        match openat(here, name.as_slice(), flags | OFlag::O_NOFOLLOW, Mode::empty()) {
            Ok(fd) if last => return Ok(fd),
            Ok(fd) => folders.push(fd),
            // `O_NOFOLLOW` fails like this on a link; `ENOTDIR` can also mean a file.
            Err(errno @ (Errno::ELOOP | Errno::ENOTDIR)) => {
                let target = readlinkat(here, name.as_slice()).map_err(|_| errno)?;
                links += 1;
                if links > LINKS {
                    return Err(Errno::ELOOP);
                }
                if target.as_bytes().starts_with(b"/") {
                    return Err(Errno::EXDEV);
                }
                push(&mut pending, target.as_bytes());
            }
            Err(Errno::EINTR) => pending.push(name),
            Err(errno) => return Err(errno),
        }
    }
    // The path ended with `.`, `..` or a slash.
    let here = folders.last().map_or(root, AsFd::as_fd);
    openat(here, ".", FLAGS | OFlag::O_DIRECTORY, Mode::empty())
}

/// Puts the components of a path before those that are still to be looked up.
fn push(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    pending.extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
}
