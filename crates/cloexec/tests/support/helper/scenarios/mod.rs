//! What the helper does with this crate, in a process of its own, where descriptors have chosen numbers.
//!
//! Contract: a scenario prints what it saw and exits 0; if its preparation fails, it exits 1.

use std::fs::File;

use cloexec::{flags, open};
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;
use testing::judged;

use super::table;

mod pass;
mod sweep;

/// Runs the scenario of that name.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["sweep", first, places] => sweep::run(first, places),
        ["pass", program, places, moves, args @ ..] => pass::run(program, places, moves, args),
        [name] => judged_calls(name),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Scenarios in which a test only looks at the system calls.
fn judged_calls(name: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    let outcome = match name {
        "set" => {
            table::set_cloexec(&file, false);
            judged(|| flags::set(&file))
        }
        "clear" => judged(|| flags::clear(&file)),
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
        _ => return Err(format!("no scenario is called {name}")),
    };
    outcome.map_err(|error| error.to_string())
}
