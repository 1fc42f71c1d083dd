//! Exercise `prefork/status`: decoding wait statuses, and waiting for one child.
//!
//! The helper process, which has one thread, forks the children. Statuses that only a few machines produce are decoded
//! from their raw numbers.

mod support;

#[path = "scenarios/status/mod.rs"]
mod scenarios;

use nix::libc::{self, SIGABRT, SIGCONT, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM, SIGTRAP, SIGTSTP};
use prefork::status::Status;
use support::{Answer, Helper, ask, traced};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

const SIGNALS: std::ops::RangeInclusive<i32> = 1..=64;

#[track_caller]
fn status(what: &[&str]) -> Answer {
    ask(&[&["run"], what].concat())
}

/// The same. `None` if this machine does not permit it.
#[track_caller]
fn status_if_permitted(what: &[&str]) -> Option<Answer> {
    Helper::new(&[&["run"], what].concat()).if_permitted()
}

#[test]
fn every_exit_code_is_decoded() {
    for code in 0..=255 {
        let seen = Status::from_raw(code << 8);
        assert_eq!(
            seen,
            Status::Exited(code),
            "the wait status {:#06x} is an exit with {code}: the code is the second byte, and has no sign",
            code << 8
        );
    }
    let answer = status(&["codes"]);
    let codes: Vec<&str> = answer.lines("code").collect();
    assert_eq!(codes.len(), 256, "256 children exited, and each must be reaped:\n{}", answer.0);
    for seen in codes {
        let (code, said) = seen.split_once(' ').unwrap_or_default();
        assert_eq!(
            said,
            format!("Exited({code})"),
            "a child exited with code {code}, and the answer is {said}"
        );
    }
}

#[test]
fn a_signal_is_not_an_exit_code() {
    for signal in SIGNALS {
        let seen = Status::from_raw(signal);
        assert_eq!(
            seen,
            Status::Killed { signal, core: false },
            "the wait status {signal:#06x} means that signal {signal} has killed the child, not that it has exited"
        );
    }
}

#[test]
fn the_core_flag_is_separate_from_the_signal() {
    for signal in SIGNALS {
        let seen = Status::from_raw(signal | 0x80);
        assert_eq!(
            seen,
            Status::Killed { signal, core: true },
            "the wait status {:#06x} means signal {signal}, and its bit 7 means that a core was dumped",
            signal | 0x80
        );
    }
}

#[test]
fn a_stop_is_not_signal_127() {
    for signal in SIGNALS {
        let raw = signal << 8 | 0x7f;
        let seen = Status::from_raw(raw);
        assert_eq!(
            seen,
            Status::Stopped(signal),
            "the wait status {raw:#06x} is a stop, because its lowest byte is 0x7f. The second byte is the signal"
        );
    }
    // A tracer also sees events, above the two bytes, and a flag for system call stops.
    let event = libc::PTRACE_EVENT_FORK << 16 | SIGTRAP << 8 | 0x7f;
    assert_eq!(
        Status::from_raw(event),
        Status::Stopped(SIGTRAP),
        "the wait status {event:#x} has a ptrace event above the two bytes, which must be cut off the signal"
    );
    assert_eq!(Status::from_raw((SIGTRAP | 0x80) << 8 | 0x7f), Status::Stopped(SIGTRAP | 0x80));
}

#[test]
fn a_continue_is_not_final() {
    let seen = Status::from_raw(0xffff);
    assert_eq!(
        seen,
        Status::Continued,
        "the wait status 0xffff is a continue: a stopped child was resumed. All seven bits of the signal are set here \
         too, so check for it first"
    );
    for (status, last) in [
        (Status::Exited(0), true),
        (Status::Exited(3), true),
        (Status::Killed { signal: SIGKILL, core: false }, true),
        (Status::Stopped(SIGSTOP), false),
        (Status::Continued, false),
    ] {
        assert_eq!(status.is_final(), last, "is_final of {status:?}: do more statuses follow?");
        assert_eq!(
            status.is_success(),
            status == Status::Exited(0),
            "is_success of {status:?}: only an exit with 0 is a success"
        );
    }
}

#[test]
fn the_kernel_reports_stop_continue_and_kill() {
    let answer = status(&["changes"]);
    let seen: Vec<&str> = answer.lines("sent").collect();
    let wanted = [
        format!("SIGSTOP Stopped({SIGSTOP})"),
        "SIGCONT Continued".to_owned(),
        format!("SIGKILL Killed {{ signal: {SIGKILL}, core: false }}"),
    ];
    assert_eq!(seen, wanted, "a child was stopped, continued and killed, and each status must say so");
}

#[test]
fn every_killing_signal_is_reported() {
    let answer = status(&["signals"]);
    assert!(answer.lines("signal").count() > 50, "more than 50 signals kill a process:\n{}", answer.0);
    for line in answer.lines("signal") {
        let (signal, said) = line.split_once(' ').unwrap_or_default();
        let wanted = format!("Killed {{ signal: {signal}, core: false }}");
        assert_eq!(said, wanted, "signal {signal} killed a child, and the answer is {said}");
    }
}

#[test]
fn a_real_time_signal_is_reported() {
    let answer = status(&["real-time"]);
    let number = answer.line("number");
    assert_eq!(
        (answer.line("nix"), answer.line("then")),
        ("EINVAL", "ECHILD"),
        "nix's waitpid used to return EINVAL for a real-time signal after it had reaped the child. If this has \
         changed, update the book"
    );
    let wanted = format!("Killed {{ signal: {number}, core: false }}");
    for which in ["ours", "tried"] {
        let said = answer.line(which);
        assert_eq!(
            said, wanted,
            "signal {number} killed a child, and the answer is `{said}`. nix has no name for a real-time signal: its \
             waitpid returns an error after it has reaped the child, and the status is lost"
        );
    }
}

#[test]
fn the_core_flag_says_whether_a_core_was_dumped() {
    for (limit, dumped, files) in [("0", false, "0"), ("none", true, "1")] {
        let Some(answer) = status_if_permitted(&["core", limit]) else { return };
        let kernel = if dumped { "dumped" } else { "killed" };
        assert_eq!(
            (answer.line("kernel"), answer.line("files")),
            (kernel, files),
            "a child aborted under the core file limit {limit}, and the kernel reported something else"
        );
        let wanted = format!("Killed {{ signal: {SIGABRT}, core: {dumped} }}");
        let said = answer.line("ours");
        assert_eq!(said, wanted, "a child aborted and left {files} core files, and the answer is {said}");
    }
}

#[test]
fn a_stop_does_not_end_the_wait() {
    let answer = status(&["stopped"]);
    let (tried, waited) = (answer.line("tried"), answer.line("waited"));
    assert_eq!(
        (tried, waited),
        ("nothing yet", "Exited(3)"),
        "the child was stopped: try_wait returned `{tried}` and wait `{waited}`. The kernel reports stops only with \
         WUNTRACED, so leave that flag out"
    );
}

#[test]
fn a_traced_childs_stop_does_not_end_the_wait() {
    let Some(answer) = status_if_permitted(&["traced"]) else { return };
    let (tried, waited) = (answer.line("tried"), answer.line("waited"));
    assert_eq!(
        (tried, waited),
        ("nothing yet", "Killed { signal: 9, core: false }"),
        "the child is traced by its parent and was stopped: try_wait returned `{tried}`. Then it was killed, and wait \
         returned `{waited}`. The kernel reports every stop of a traced child, so skip statuses that are not final"
    );
    let slept = answer.line("slept");
    assert_eq!(
        slept, "Killed { signal: 9, core: false }",
        "another child is traced and was stopped, and wait was called before it was killed. It returned `{slept}`. The \
         kernel reports the stop to wait as it does to try_wait, so wait must skip it, too, and sleep on"
    );
}

#[test]
fn bits_above_the_lowest_two_bytes_are_ignored() {
    let events = libc::PTRACE_EVENT_EXIT << 16;
    for (raw, wanted) in [
        (3 << 8, Status::Exited(3)),
        (SIGSEGV | 0x80, Status::Killed { signal: SIGSEGV, core: true }),
        (SIGSTOP << 8 | 0x7f, Status::Stopped(SIGSTOP)),
        (0xffff, Status::Continued),
    ] {
        let raw = raw | events;
        let seen = Status::from_raw(raw);
        assert_eq!(
            seen, wanted,
            "the wait status {raw:#x} has bits above the lowest two bytes, which a tracer gets. They are no part of a code or \
             of a signal: look at the lowest two bytes only"
        );
    }
}

#[test]
fn try_wait_does_not_wait_for_a_running_child() {
    let answer = status(&["try"]);
    let (running, exited) = (answer.line("running"), answer.line("exited"));
    assert_eq!(
        running, "nothing yet",
        "the child is running, and try_wait returned `{running}`. If waitpid returns 0, it has not written a status"
    );
    let wanted = format!("Killed {{ signal: {SIGTERM}, core: false }}");
    assert_eq!(exited, wanted, "SIGTERM killed the child, and try_wait returned `{exited}`");
}

#[test]
fn wait_sleeps_until_the_child_has_exited() {
    let answer = status(&["sleeps"]);
    let awake = answer.line("awake");
    assert!(
        awake.parse().is_ok_and(|times: u64| times < 5),
        "a child checked a hundred times whether its parent, which was waiting for it, was asleep, and found it awake \
         (times: {awake}). \
         Let waitpid wait: without WNOHANG it returns when the child has exited"
    );
    assert_eq!(answer.line("waited"), "Exited(0)");
}

#[test]
fn other_children_are_not_reaped() {
    let answer = status(&["others"]);
    let seen = (answer.line("waited"), answer.line("tried"), answer.line("other"));
    assert_eq!(
        seen,
        ("Exited(6)", "Exited(7)", "exited with 5"),
        "three children exited: one for wait, one for try_wait, and one that other code waits for. That one must still \
         be there. Waiting for any child reaps those of other code"
    );
}

#[test]
fn zero_and_negative_pids_are_echild() {
    for which in ["any child", "the own group", "a group", "the smallest number", "the parent", "itself"] {
        let answer = status(&["not-one", which]);
        let number = answer.line("number");
        for (how, said) in [("wait", answer.line("waited")), ("try_wait", answer.line("tried"))] {
            assert_eq!(
                said, "Err ECHILD",
                "{how} with {number} ({which}) must be ECHILD, because that is not one child of this process"
            );
        }
        assert_eq!(
            answer.line("other"),
            "there",
            "waiting for {number} ({which}) has reaped a child that other code waits for"
        );
    }
}

#[test]
fn a_child_is_reaped_once() {
    let answer = status(&["again"]);
    assert_eq!(answer.line("waited"), "Exited(5)");
    for which in ["again", "tried"] {
        let said = answer.line(which);
        assert_eq!(
            said, "Err ECHILD",
            "the child has been reaped, so the answer must be ECHILD, and it is {said}"
        );
    }
    for which in ["again-says", "tried-says"] {
        let said = answer.line(which);
        let pid = answer.line("pid");
        assert!(
            said.contains("waitpid") && said.contains(pid),
            "the error must name the call, waitpid, and the process id, {pid}, whichever function returns it. It is: {said}"
        );
    }
}

#[test]
fn eintr_does_not_end_the_wait() {
    let answer = status(&["interrupted"]);
    let said = answer.line("waited");
    assert_eq!(
        said,
        format!("Killed {{ signal: {SIGTERM}, core: false }}"),
        "a signal handler interrupted the wait, which returned `{said}`. After EINTR, wait again"
    );
    assert_eq!(answer.line("handled"), "50", "the wait must have been interrupted fifty times");
}

#[test]
fn any_other_error_is_returned() {
    let Some(answer) = traced("wait:*=EPERM", &["forbidden"]) else { return };
    for which in ["waited", "tried"] {
        let said = answer.line(which);
        assert!(
            said.starts_with("Err EPERM"),
            "{which}: a sandbox forbids the call that waits, with EPERM, and the answer is {said}. ECHILD would say \
             that there is no such child, which may be running: return the errno that the call returned"
        );
    }
}

#[test]
fn wait_with_sigchld_ignored_is_echild() {
    let answer = status(&["ignored"]);
    assert_eq!(
        (answer.line("waited"), answer.line("child")),
        ("Err ECHILD", "gone"),
        "SIGCHLD is ignored, so the kernel discards the child's status, and waitpid returns ECHILD once the child is \
         gone"
    );
}

#[test]
fn a_status_is_displayed_in_words() {
    for (status, words) in [
        (Status::Exited(3), "exited with 3"),
        (Status::Killed { signal: SIGKILL, core: false }, "killed by SIGKILL"),
        (Status::Killed { signal: SIGSEGV, core: true }, "killed by SIGSEGV, core dumped"),
        (Status::Killed { signal: 35, core: false }, "killed by signal 35"),
        (Status::Stopped(SIGTSTP), "stopped by SIGTSTP"),
        (Status::Continued, "continued"),
    ] {
        assert_eq!(status.to_string(), words);
    }
    assert_eq!(Status::from_raw(SIGCONT << 8).to_string(), format!("exited with {SIGCONT}"));
}

#[test]
fn no_zombie_is_left() {
    for what in ["a-code", "signals", "others", "again", "try", "interrupted"] {
        let left = status(&[what]).line("left").to_owned();
        assert_eq!(left, "none", "`{what}`: every child should have been reaped, and {left} is left");
    }
}
