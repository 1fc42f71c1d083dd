//! What `execve` takes, made ready before the fork: a path, arguments and environment as C strings.
//!
//! Contract: [`Image::new`] allocates, [`Image::exec`] does not, so the child of a fork may call it.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::libc;

/// A program that is ready to be started. The strings are kept for the pointers into them.
pub(crate) struct Image {
    path: CString,
    argv: Strings,
    envp: Strings,
}

impl Image {
    /// The program, its arguments (the path goes before them, as `argv[0]`), and our environment as it is
    /// now. `EINVAL` for a NUL byte in any of them.
    pub(crate) fn new(program: &Path, args: &[&OsStr]) -> nix::Result<Self> {
        let path = program.as_os_str();
        let variables = env::vars_os().map(|(name, value)| {
            let mut variable: OsString = name;
            variable.push("=");
            variable.push(value);
            variable.into_vec()
        });
        Ok(Self {
            path: c_string(path.as_bytes())?,
            argv: Strings::new([path].iter().chain(args).map(|arg| arg.as_bytes().to_vec()))?,
            envp: Strings::new(variables)?,
        })
    }

    /// Become the program. Comes back with an error only.
    pub(crate) fn exec(&self) -> nix::Result<Infallible> {
        // SAFETY: the path ends in NUL, and both arrays end in a null pointer and point at strings that end
        // in NUL; `self` owns all of them, and does not change them.
        unsafe { libc::execve(self.path.as_ptr(), self.argv.pointers.as_ptr(), self.envp.pointers.as_ptr()) };
        Err(Errno::last())
    }
}

/// Strings, and the array of pointers to them that ends with a null one.
struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = Vec<u8>>) -> nix::Result<Self> {
        let owned = strings.map(c_string).collect::<nix::Result<Vec<_>>>()?;
        // Moving the vector moves no string: each has its bytes in a place of its own on the heap.
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { _owned: owned, pointers })
    }
}

fn c_string(bytes: impl Into<Vec<u8>>) -> nix::Result<CString> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}
