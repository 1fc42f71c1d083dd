//! The parts of a prefork server: sockets, accepting, forking and supervising.
//!
//! A prefork server binds its sockets once, forks, and lets every child accept from them. Each part can be used alone:
//!
//! - [`sockets`]: a listening socket for every address that a host name resolves to;
//! - [`accept`]: accepting queued connections, a bounded number at a time, even without free descriptors;
//! - [`status`]: decoding a child's wait status, and waiting for it;
//! - [`fork`]: forking one child safely, and a guard against forking with state that must not be shared;
//! - [`supervise`]: restarting children that fail, and stopping all of them with their parent.
//!
//! [`fork`] returns a [`Child`], which [`supervise`] holds. [`Policy`], [`Event`], [`Signals`] and [`Lifeline`] belong
//! to [`supervise`].
//!
//! Contract: every descriptor is created close-on-exec, and every socket nonblocking. No function here waits for a
//! child that it did not fork, or signals one that has been reaped. Every error names the operation, the object and
//! the cause.
//!
//! # What holds when something goes wrong
//!
//! Each row names the test that shows it.
//!
//! | what happens | what holds | tests |
//! |---|---|---|
//! | the closure of `fork` panics | the child exits with 101 | `fork::a_panic_ends_the_child_with_101` |
//! | `on_event` panics | the children are killed and reaped | `supervise::children_are_killed_when_on_event_panics` |
//! | the callback of `accept` panics | its connection is lost, and nothing else | `accept::a_panicking_callback_loses_only_its_own_connection`, `accept::a_panic_does_not_lose_the_count_of_shed_clients` |
//! | the parent dies | its children die, even after setuid(2), or without a descriptor | `supervise::children_die_with_a_supervisor_killed_by_sigkill`, `supervise::children_that_have_changed_their_user_die_too`, `supervise::children_that_have_closed_every_descriptor_die_too` |
//! | a signal arrives at the fork | the child runs none of its parent's handlers | `fork::a_signal_during_the_fork_does_not_run_the_parents_handler` |
//! | SIGTERM or SIGINT was ignored at the start | it stops the supervisor all the same | `supervise::signals_that_were_ignored_at_the_start_are_read` |
//! | SIGCHLD was ignored at the start | `ECHILD`, which names SIGCHLD | `fork::fork_with_sigchld_ignored_is_echild`, `supervise::with_sigchld_ignored_no_child_is_forked` |
//! | no descriptor is left | clients are shed; a fork fails, and the children are stopped | `accept::without_descriptors_clients_are_shed`, `supervise::children_are_stopped_when_a_fork_fails` |
//! | no process may be forked | `EAGAIN`, and nothing has changed | `fork::a_failed_fork_changes_nothing` |
//! | a sandbox forbids pidfd_open or prctl | an error; the lifeline | `fork::if_pidfd_open_fails_no_child_is_left`, `supervise::one_way_to_die_with_the_parent_is_enough` |
//! | a child is alone in a PID namespace | it works | `supervise::a_child_whose_parent_is_outside_of_its_pid_namespace_works` |
//! | /proc is missing | `ENOENT`: threads cannot be counted | `fork::without_proc_no_child_is_forked` |
//! | IPv6 is missing | IPv4 is bound | `sockets::an_unavailable_family_is_skipped` |
//! | a listener is closed, shut down, or none | an error each time: see [`accept`] | `accept::a_listener_that_was_shut_down_is_an_error_each_time`, `accept::a_descriptor_that_is_not_a_listener_is_an_error_that_names_it` |
//! | a duration is 0 or `Duration::MAX`, or time goes back | no overflow, no panic | `supervise::the_longest_durations_do_not_overflow`, `supervise::without_a_min_uptime_nothing_fails_at_once`, `accept::shed_clients_are_reported_once_a_second` |
//!
//! Each module is an exercise: with the feature `mine-accept`, the file `exercises/accept.rs` replaces `src/accept.rs`.
//! The feature `mine` replaces all five.

mod child;
mod event;
mod lifeline;
mod policy;
mod signals;
mod threads;
pub use child::{Child, pidfd_open};
pub use cloexec::{Error, Result};
pub use event::{Ended, Event, Failed};
pub use lifeline::Lifeline;
pub use policy::Policy;
pub use signals::Signals;

#[cfg_attr(feature = "mine-accept", path = "../exercises/accept.rs")]
pub mod accept;

#[cfg_attr(feature = "mine-fork", path = "../exercises/fork.rs")]
pub mod fork;

#[cfg_attr(feature = "mine-sockets", path = "../exercises/sockets.rs")]
pub mod sockets;

#[cfg_attr(feature = "mine-status", path = "../exercises/status.rs")]
pub mod status;

#[cfg_attr(feature = "mine-supervise", path = "../exercises/supervise.rs")]
pub mod supervise;

// To check one exercise, its tests are compiled into this crate: see the end of cloexec's.
#[cfg(all(test, feature = "check"))]
extern crate self as prefork;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-accept", path = "../tests/accept.rs")]
#[cfg_attr(feature = "mine-fork", path = "../tests/fork.rs")]
#[cfg_attr(feature = "mine-sockets", path = "../tests/sockets.rs")]
#[cfg_attr(feature = "mine-status", path = "../tests/status.rs")]
#[cfg_attr(feature = "mine-supervise", path = "../tests/supervise.rs")]
mod t;
