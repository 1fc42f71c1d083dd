//! The arguments of `execve`, built before the fork: path, argument list and environment as C strings.
//!
//! Contract: [`Image::new`] allocates; [`Image::exec`] does not, so the child of a fork may call it.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::libc;

/// A program that is ready to be started. It owns the strings that the pointers for `execve` point into.
pub(crate) struct Image {
    path: CString,
    argv: Strings,
    envp: Strings,
}

impl Image {
    /// Builds the image of `program` with `args` (its path goes first, as `argv[0]`) and this process's environment.
    ///
    /// # Errors
    /// `EINVAL` if the path, an argument or a variable contains a NUL byte.
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

    /// Replaces this process's program. Returns only on failure.
    ///
    /// # Errors
    /// The errors of execve(2), "ERRORS".
    pub(crate) fn exec(&self) -> nix::Result<Infallible> {
        // SAFETY: the path ends in NUL. Both arrays end in a null pointer, and their elements point at strings that
        // end in NUL. `self` owns all of them and does not change them.
        unsafe { libc::execve(self.path.as_ptr(), self.argv.pointers.as_ptr(), self.envp.pointers.as_ptr()) };
        Err(Errno::last())
    }
}

/// Strings, and an array of pointers to them that ends with a null pointer.
struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = Vec<u8>>) -> nix::Result<Self> {
        let owned = strings.map(c_string).collect::<nix::Result<Vec<_>>>()?;
        // Moving the vector does not move the strings: each keeps its bytes in its own heap allocation.
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { _owned: owned, pointers })
    }
}

fn c_string(bytes: impl Into<Vec<u8>>) -> nix::Result<CString> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}
