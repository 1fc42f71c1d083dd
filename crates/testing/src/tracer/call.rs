//! A system call, as the kernel gets it.

/// A system call: its name and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// `close_range`
    pub name: &'static str,
    /// The first four arguments. A call with fewer is followed by whatever was in the registers.
    pub args: [u64; 4],
}
