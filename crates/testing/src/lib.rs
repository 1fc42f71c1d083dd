//! What the tests of the topic crates share: a helper process, its answers, and simulated kernels.
//!
//! A test program has threads, so it must not fork, and signals, limits and descriptors belong to a whole process.
//! A *helper* does what needs a process of its own: it is the test program again, started with [`HELPER`] as its first
//! argument. The helper does what the other arguments say, prints what it saw, a line for each thing, and exits before
//! its `main`: it has one thread, and Rust's runtime is not set up. So no test waits for a second program to be linked.
//!
//! ```ignore
//! testing::helper!(scenarios::answer); // fn answer(args: &[&str]) -> i32, the exit code
//! let answer = testing::ask(&["run", "sweep"]);
//! assert_eq!(answer.line("marked"), "3 4 5");
//! ```
//!
//! What this machine cannot be asked is no verdict: a test that finds out so is [`skip`]ped, with the reason.
//!
//! Under a [`tracer`] the helper can meet a kernel that this machine does not have, and show its system calls.
//!
//! Exit codes of the helper: 0 done; 1 failed; 2 unknown arguments; [`REFUSED`] this machine does not permit it;
//! 101 a panic.

pub mod allocations;
mod answer;
mod helper;
pub mod machine;
pub mod moved;
pub mod proc;
mod skip;
pub mod tracer;

pub use answer::answer;
pub use helper::{
    Answer, HELPER, Helper, REFUSED, ask, before_main, begin, comes_on, exit_code, ignore_sigpipe, judged,
    no_child_is_born, patience, traced,
};
pub use skip::skipped;

/// Let the test program be its own helper: `testing::helper!(answer)`, where `answer` takes the arguments behind
/// [`HELPER`] and gives the exit code. It is a function, or a closure that captures nothing.
#[macro_export]
macro_rules! helper {
    ($answer:expr) => {
        $crate::before_main!($crate::before_main($answer));
    };
}

/// Let a test program that needs no helper begin as one with a helper does: `testing::begin!();`
#[macro_export]
macro_rules! begin {
    () => {
        $crate::before_main!($crate::begin());
    };
}

/// Run this before `main`.
#[doc(hidden)]
#[macro_export]
macro_rules! before_main {
    ($call:expr) => {
        // The C runtime calls the functions in this section before `main`.
        // SAFETY: it holds a pointer to a function that takes no argument and does not unwind.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static BEFORE_MAIN: extern "C" fn() = {
            extern "C" fn before_main() {
                $call;
            }
            before_main
        };
    };
}
