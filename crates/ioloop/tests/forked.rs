//! The whole: a loop on each side of a fork. A loop itself does not cross a fork: see current.rs.

mod support;

#[path = "scenarios/forked.rs"]
mod scenarios;

use ioloop::poller::Kind;
use support::helper_said;

testing::helper!(|args| testing::exit_code(match args {
    ["forked", poller] => poller.parse().map_err(Into::into).and_then(scenarios::run),
    ["forked-with-a-loop", poller] => poller.parse().map_err(Into::into).and_then(scenarios::with_a_loop),
    _ => support::unknown(args),
}));

#[test]
fn after_a_fork_each_side_has_its_own_timers_events_and_signals() {
    testing::needs!(pidfd);
    for poller in Kind::ALL {
        let answer = helper_said(&["forked", &poller.to_string()]);
        assert_eq!(answer.line("timer"), "in the child", "{poller}");
        assert_eq!(
            answer.line("event"),
            "in the child",
            "{poller}: the pipe is no longer registered with the parent"
        );
        assert_eq!(answer.line("signal"), "in the child", "{poller}");
        assert_eq!(answer.line("parent"), "0 signals", "{poller}: a signal for the child came to the parent");
        assert_eq!(answer.line("ended"), "Exited(0)", "{poller}");
    }
}

/// Our own `fork` refuses that; other code may do it.
#[test]
fn a_child_that_closes_its_copy_of_a_loop_makes_its_own_and_changes_nothing_of_its_parents() {
    for poller in Kind::ALL {
        let answer = helper_said(&["forked-with-a-loop", &poller.to_string()]);
        let came = |whose: &str| {
            let mut came: Vec<_> = answer.lines(whose).collect();
            came.sort_unstable();
            came
        };
        let all = ["event", "signal", "task"];
        assert_eq!(came("child"), all, "{poller}: what the child's own loop got");
        assert_eq!(answer.line("ended"), "0", "{poller}: the child's exit code");
        assert_eq!(came("parent"), all, "{poller}: what the parent's loop got afterwards");
    }
}
