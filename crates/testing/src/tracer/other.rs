//! On other architectures than x86-64 reading and changing registers is not written yet, so nothing can be traced.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::call::Call;

pub fn call(_: Pid) -> nix::Result<(Call, Option<i64>)> {
    Err(Errno::ENOSYS)
}

pub fn keep(_: Pid) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

pub fn answer(_: Pid, _: i64) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

pub fn next_call(_: Pid) -> nix::Result<Option<&'static str>> {
    Err(Errno::ENOSYS)
}

pub fn position(_: Pid) -> nix::Result<u64> {
    Err(Errno::ENOSYS)
}
