//! Where the programs of a crate are that its tests start.
//!
//! cargo compiles nothing anew in a checkout that was moved, or copied with its target folder, so what `env!` gives is the old
//! place. But cargo sets the same variable when it runs a test. (Files need none: a test runs in the folder of its crate.)

use std::env;
use std::path::Path;

/// A program of the crate whose test this is.
#[macro_export]
macro_rules! program {
    ($name:literal) => {
        $crate::moved::program(concat!("CARGO_BIN_EXE_", $name), env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}

/// What [`program!`](crate::program) gives: where cargo says that the program is now, or else where it was built.
pub fn program(variable: &str, built: &str) -> String {
    choose(env::var(variable).ok(), built)
}

fn choose(now: Option<String>, built: &str) -> String {
    now.filter(|now| Path::new(now).is_file()).unwrap_or_else(|| built.to_owned())
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn a_program_that_has_moved_is_where_cargo_says() {
        let choose = |now: Option<&str>| choose(now.map(str::to_owned), "/old/target/debug/stage");
        assert_eq!(choose(Some("/proc/self/exe")), "/proc/self/exe");
        assert_eq!(choose(Some("/gone/target/debug/stage")), "/old/target/debug/stage");
        assert_eq!(choose(None), "/old/target/debug/stage", "the test was started by hand");
    }
}
