//! `open`, `pipe` and the like: the system calls that make descriptors.

use std::fs::File;
use std::os::fd::AsRawFd;

use cloexec::open;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;
use testing::judged;

use super::support::helper::table;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        [name] => made(name),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

fn made(name: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    let outcome = match name {
        "open" => judged(|| open::open("/dev/null", OFlag::O_RDONLY, Mode::empty())).map(drop),
        // The directory does not exist, so no file is created; the kernel still gets the flags and the mode.
        "open-create" => {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND;
            let _ =
                judged(|| open::open("/proc/self/no-such-folder/file", flags, Mode::from_bits_retain(0o640)));
            Ok(())
        }
        "pipe" => judged(open::pipe).map(drop),
        "socket" => judged(|| open::socket(AddressFamily::Unix, SockType::Datagram)).map(drop),
        "duplicate" => judged(|| open::duplicate(&file)).map(drop),
        // Prints the duplicate's number.
        "duplicate-without-0" => {
            nix::unistd::close(0).map_err(|e| e.to_string())?;
            open::duplicate(&file).map(|copy| println!("number {}", copy.as_raw_fd()))
        }
        _ => return Err(format!("no scenario is called {name}")),
    };
    outcome.map_err(|error| error.to_string())
}
