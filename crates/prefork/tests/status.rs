//! Exercise `prefork/status`: what the kernel must show.
//!
//! Children are started in the helper, a process of its own with one thread, and end there in every way there is.
//! What only a rare machine shows is tried with the number that such a machine gives.

mod support;

use nix::libc::{self, SIGABRT, SIGCONT, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM, SIGTRAP, SIGTSTP};
use prefork::status::Status;
use support::{Answer, Helper, ask};

const SIGNALS: std::ops::RangeInclusive<i32> = 1..=64;

#[track_caller]
fn status(what: &[&str]) -> Answer {
    ask(&[&["run", "status"], what].concat())
}

/// Nothing where this machine refuses what was asked.
#[track_caller]
fn status_if_permitted(what: &[&str]) -> Option<Answer> {
    Helper::new(&[&["run", "status"], what].concat()).if_permitted()
}

#[test]
fn every_exit_code_is_decoded() {
    for code in 0..=255 {
        let seen = Status::from_raw(code << 8);
        assert_eq!(
            seen,
            Status::Exited(code),
            "the kernel gave {:#06x}, which is an exit with {code}: the code is the byte above the lowest, as it is, \
             without a sign",
            code << 8
        );
    }
    let answer = status(&["codes"]);
    let codes: Vec<&str> = answer.lines("code").collect();
    assert_eq!(codes.len(), 256, "256 children ended, and were to be waited for:\n{}", answer.0);
    for seen in codes {
        let (code, said) = seen.split_once(' ').unwrap_or_default();
        assert_eq!(
            said,
            format!("Exited({code})"),
            "a child ended with code {code}, and the answer is {said}"
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
            "the kernel gave {signal:#06x}: no code, but signal {signal}"
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
            "the kernel gave {:#06x}: signal {signal}, and with bit 7 it says that there is a core file",
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
            "the kernel gave {raw:#06x}: 0x7f says that the child was stopped, and the byte above by which signal"
        );
    }
    // What a tracer sees besides: an event above the two bytes, a bit for system calls.
    let event = libc::PTRACE_EVENT_FORK << 16 | SIGTRAP << 8 | 0x7f;
    assert_eq!(
        Status::from_raw(event),
        Status::Stopped(SIGTRAP),
        "the kernel gave {event:#x}: what is above the two bytes is no part of the signal"
    );
    assert_eq!(Status::from_raw((SIGTRAP | 0x80) << 8 | 0x7f), Status::Stopped(SIGTRAP | 0x80));
}

#[test]
fn a_continue_is_not_final() {
    let seen = Status::from_raw(0xffff);
    assert_eq!(
        seen,
        Status::Continued,
        "the kernel gave 0xffff: the child was stopped, and goes on. All seven bits of the signal are set here too"
    );
    for (status, last) in [
        (Status::Exited(0), true),
        (Status::Exited(3), true),
        (Status::Killed { signal: SIGKILL, core: false }, true),
        (Status::Stopped(SIGSTOP), false),
        (Status::Continued, false),
    ] {
        assert_eq!(status.is_final(), last, "{status:?}: is there nothing more to come?");
        assert_eq!(status.is_success(), status == Status::Exited(0), "{status:?}: did it end well?");
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
    assert_eq!(seen, wanted, "a child was stopped, continued and killed, and said of it was this");
}

#[test]
fn every_killing_signal_is_reported() {
    let answer = status(&["signals"]);
    assert!(answer.lines("signal").count() > 50, "more signals than that end a process:\n{}", answer.0);
    for line in answer.lines("signal") {
        let (signal, said) = line.split_once(' ').unwrap_or_default();
        let wanted = format!("Killed {{ signal: {signal}, core: false }}");
        assert_eq!(said, wanted, "signal {signal} ended a child, and the answer is {said}");
    }
}

#[test]
fn a_real_time_signal_is_reported() {
    let answer = status(&["real-time"]);
    let number = answer.line("number");
    assert_eq!(
        (answer.line("nix"), answer.line("then")),
        ("EINVAL", "ECHILD"),
        "so far, nix's waitpid has had no answer for a real-time signal, and has reaped the child all the same. If it \
         has one now, the book is out of date"
    );
    let wanted = format!("Killed {{ signal: {number}, core: false }}");
    for which in ["ours", "tried"] {
        let said = answer.line(which);
        assert_eq!(
            said, wanted,
            "signal {number} ended a child, and the answer is `{said}`: nix knows no name for a real-time signal, and \
             what it cannot name it reports as an error, when the child is reaped and its status lost"
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
            "a child aborted, and the limit for a core file was {limit}"
        );
        let wanted = format!("Killed {{ signal: {SIGABRT}, core: {dumped} }}");
        let said = answer.line("ours");
        assert_eq!(said, wanted, "a child aborted, there are {files} core files, and the answer is {said}");
    }
}

#[test]
fn a_stop_does_not_end_the_wait() {
    let answer = status(&["stopped"]);
    let (tried, waited) = (answer.line("tried"), answer.line("waited"));
    assert_eq!(
        (tried, waited),
        ("nothing yet", "Exited(3)"),
        "the child is stopped: trying said `{tried}`, waiting `{waited}`. The kernel tells of stops only those who ask \
         it to"
    );
}

#[test]
fn a_traced_childs_stop_does_not_end_the_wait() {
    let Some(answer) = status_if_permitted(&["traced"]) else { return };
    let (tried, waited) = (answer.line("tried"), answer.line("waited"));
    assert_eq!(
        (tried, waited),
        ("nothing yet", "Killed { signal: 9, core: false }"),
        "the child is traced by its parent and has stopped: trying said `{tried}`, then it was killed, and waiting said \
         `{waited}`. Of such a child the kernel tells every stop unasked, so look at what it says"
    );
}

#[test]
fn try_wait_does_not_wait_for_a_running_child() {
    let answer = status(&["try"]);
    let (there, ended) = (answer.line("there"), answer.line("ended"));
    assert_eq!(
        there, "nothing yet",
        "a child runs, and trying said `{there}`: where waitpid gives 0 there is no news, and nothing was written"
    );
    let wanted = format!("Killed {{ signal: {SIGTERM}, core: false }}");
    assert_eq!(ended, wanted, "SIGTERM ended the child, and trying said `{ended}`");
}

#[test]
fn other_children_are_not_reaped() {
    let answer = status(&["others"]);
    let seen = (answer.line("waited"), answer.line("tried"), answer.line("somebody's"));
    assert_eq!(
        seen,
        ("Exited(6)", "Exited(7)", "exited with 5"),
        "three children ended, the first of them another part of the program's. One was waited for, one tried, and \
         then the first was looked for: whoever waits for any child takes what others wait for"
    );
}

#[test]
fn zero_and_negative_pids_are_echild() {
    for which in ["any", "our group", "a group", "the least", "the parent", "itself"] {
        let answer = status(&["not-one", which]);
        let number = answer.line("number");
        for (how, said) in [("waiting", answer.line("waited")), ("trying", answer.line("tried"))] {
            assert_eq!(
                said, "Err ECHILD",
                "{how} for {which}, which to waitpid is {number}, is to be ECHILD: it is not one child of ours"
            );
        }
        assert_eq!(
            answer.line("somebody's"),
            "there",
            "waiting for {which} ({number}) took a child that was not meant"
        );
    }
}

#[test]
fn a_child_is_reaped_once() {
    let answer = status(&["again"]);
    assert_eq!(answer.line("waited"), "Exited(5)");
    for which in ["again", "tried"] {
        let said = answer.line(which);
        assert_eq!(said, "Err ECHILD", "a child was waited for before, and now the answer is {said}");
    }
    assert_eq!(answer.line("names"), "true", "the error does not say which process was waited for");
}

#[test]
fn eintr_does_not_end_the_wait() {
    let answer = status(&["interrupted"]);
    let said = answer.line("waited");
    assert_eq!(
        said,
        format!("Killed {{ signal: {SIGTERM}, core: false }}"),
        "a signal was handled while the wait slept, and its answer is `{said}`: EINTR is no answer, so ask again"
    );
    assert_eq!(answer.line("handled"), "3", "the wait was to be interrupted three times");
}

#[test]
fn wait_with_sigchld_ignored_is_echild() {
    let answer = status(&["ignored"]);
    assert_eq!(
        (answer.line("waited"), answer.line("child")),
        ("Err ECHILD", "gone"),
        "SIGCHLD is ignored, so nobody keeps what became of a child; waitpid comes back when there is none left"
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
    for what in ["codes", "signals", "others", "again", "try", "interrupted"] {
        let left = status(&[what]).line("left").to_owned();
        assert_eq!(left, "none", "`{what}`: every child was waited for, and {left} is left");
    }
}
