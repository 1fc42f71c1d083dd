//! Exercise `ioloop/signals`: which owner gets which signals. Only the last test has a loop, which queues what `take`
//! returns. Signal handlers belong to the whole process, so each test has its own process.

mod support;

#[path = "scenarios/signals.rs"]
mod scenarios;

use support::helper_said;

testing::helper!(|args| testing::exit_code(match args {
    ["signals", what] => scenarios::run(what),
    _ => support::unknown(args),
}));

#[test]
fn each_owner_gets_its_own_signals_only() {
    let answer = helper_said(&["signals", "heard"]);
    let sent: Vec<&str> = answer.lines("sent").collect();
    let took: Vec<&str> = answer.lines("took").collect();
    let expected = [
        "one:SIGUSR2",
        "other:SIGTERM",
        "one:SIGUSR1",
        "one:SIGUSR1 one:SIGUSR2 other:SIGTERM",
        "other:SIGTERM",
    ];
    for ((sent, took), expected) in sent.iter().zip(took).zip(expected) {
        let (came, wanted): (Vec<_>, Vec<_>) = (took.split(' ').collect(), expected.split(' ').collect());
        let missing: Vec<_> = wanted.iter().filter(|pair| !came.contains(pair)).collect();
        assert!(
            missing.is_empty(),
            "`one` has SIGUSR1 and SIGUSR2, and `other` SIGTERM; {sent} came, and `take` gave {took}. Missing: \
             {missing:?}. The waker was drained: signals that one `take` leaves behind or drops do not wake the loop \
             again. (The pairs of each earlier `take` still exist, as they do while a callback is queued.)"
        );
        assert_eq!(
            took, expected,
            "`one` has SIGUSR1 and SIGUSR2, and `other` SIGTERM; {sent} came: `take` must return each of them once, \
             with its owner"
        );
    }
    assert_eq!(sent.len(), 5, "signals were sent five times:\n{}", answer.0);
}

#[test]
fn taken_signals_are_not_returned_again() {
    let answer = helper_said(&["signals", "heard"]);
    assert_eq!(answer.line("took-at-first"), "nothing", "`take` returned a signal before any came");
    for then in answer.lines("then") {
        assert_eq!(then, "nothing", "every signal was taken, and the next `take` returned it again");
    }
}

#[test]
fn owners_and_signals_may_be_many() {
    let answer = helper_said(&["signals", "many"]);
    assert_eq!(
        (answer.line("single"), answer.line("together")),
        ("8", "8"),
        "eight owners have one signal each, and one owner has eight. All 16 came, and one `take` returned this many of each \
         group. It must ask every owner, and return all signals of each: what it leaves behind does not wake the loop again"
    );
    assert_eq!(
        answer.line("previous"),
        "16",
        "nine owners of 16 signals were cleared, and all signals came: for this many of them, the old handler ran. `clear` \
         must remove every owner"
    );
}

#[test]
fn each_owners_signals_write_to_its_own_writer() {
    let answer = helper_said(&["signals", "two-writers"]);
    assert_eq!(
        answer.lines("woken").collect::<Vec<_>>(),
        ["second", "first"],
        "an owner was added with a waker, and a second owner with another one. The signal of the second owner came, and then that of \
         the first: these wakers became ready. Each signal writes to the writer that its own `add` got"
    );
}

#[test]
fn removing_an_owner_restores_the_old_handlers() {
    for how in ["removed", "cleared"] {
        let answer = helper_said(&["signals", how]);
        assert_eq!(
            answer.line("previous"),
            "2",
            "two owners of one signal each were {how}, and both signals came: how often did the old handler run? \
             Restore it when the owner is {how}, not later"
        );
        assert_eq!(
            answer.line("took"),
            "nothing",
            "two owners were {how}, and `take` returned their signals"
        );
        assert_eq!(
            answer.line("again"),
            "Ok",
            "two owners were {how}, and no other owner can register for their signals"
        );
    }
}

#[test]
fn a_removed_owner_gets_no_pending_signal() {
    let took = helper_said(&["signals", "late"]);
    assert_eq!(
        took.line("took"),
        "nothing",
        "a signal came, its owner was removed, and then `take` returned the signal to it: what the owner uses may be \
         gone"
    );
}

#[test]
fn adding_and_removing_owners_loses_no_signal_of_others() {
    let answer = helper_said(&["signals", "neighbors"]);
    for (word, event) in [("came", "another owner was added"), ("left", "another owner was removed")] {
        assert_eq!(
            answer.line(word),
            "one:SIGUSR1",
            "a signal came, {event}, and `take` returned this. A receiver that is made anew starts with no signals"
        );
    }
}

#[test]
fn an_old_token_removes_no_owner() {
    let answer = helper_said(&["signals", "old-token"]);
    assert_eq!(
        answer.line("free"),
        "false",
        "an owner was removed, another one was added, and the first owner's token was used again: it removed the other \
         owner"
    );
    assert_eq!(
        answer.line("free-when-cleared"),
        "false",
        "all owners were cleared, another one was added, and a token from before was used again: it removed the new \
         owner. The generations of the slots must outlive the owners"
    );
}

#[test]
fn a_refused_owner_leaves_nothing_behind() {
    let answer = helper_said(&["signals", "refused"]);
    for (word, errno, signal) in [("owned", "EBUSY", "SIGUSR1"), ("unheard-of", "EINVAL", "SIGKILL")] {
        let said = answer.line(word);
        assert!(
            said.starts_with(errno) && said.contains(signal),
            "{signal} cannot be handled, and registering for it returned `{said}`, instead of {errno} and the signal's \
             name"
        );
    }
    assert_eq!(answer.line("kept"), "0", "two owners were refused, and their values still exist");
    assert_eq!(
        answer.line("took"),
        "1",
        "an owner was refused a signal, and the owner that has it does not get it any more"
    );
    assert_eq!(
        answer.line("free"),
        "true",
        "an owner was refused one of two signals, and no owner can register for the other one"
    );
}

#[test]
fn a_dropped_value_can_add_another_owner() {
    for how in ["removed", "cleared", "refused"] {
        let answer = helper_said(&["signals", &format!("drop-{how}")]);
        assert_eq!(
            answer.line("ended"),
            "well",
            "an owner was {how}, and its value added another owner when it was dropped: the owners were still \
             borrowed. Take the value out, end the borrow, and then drop it"
        );
        assert_eq!(
            answer.lines("next").next().unwrap_or("the value of the owner was never dropped"),
            "Ok",
            "an owner was {how}, and its value registered another owner for the signal when it was dropped. The signal \
             must be free by then: restore the handlers first"
        );
        assert_eq!(
            answer.line("took"),
            "1",
            "while an owner was {how}, its value added another owner; then a signal came, and this many owners got it. The \
             other owner stays: `clear` removes the owners that the table had when it was called"
        );
    }
}

#[test]
fn on_a_loop_a_handler_can_send_its_signal_again_and_remove_itself() {
    let answer = helper_said(&["signals", "loop"]);
    assert_eq!(
        answer.lines("time").collect::<Vec<_>>(),
        ["1", "2"],
        "the handler sent the signal again each time"
    );
    assert_eq!(
        answer.line("previous"),
        "1",
        "the second time the handler removed itself, and then sent the signal: the handler that was there before gets \
         it"
    );
}
