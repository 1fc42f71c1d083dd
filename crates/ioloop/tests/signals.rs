//! Exercise `ioloop/signals`: who hears of which signals. There is no loop here but in the last test: what is taken
//! would be queued. Signals are a whole process's, so each test has one of its own.

mod support;

use support::helper_said;

#[test]
fn everyone_hears_of_their_own_signals_and_of_no_others() {
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
             {missing:?}. The waker was consumed: what one `take` leaves behind, or throws away, nobody is woken for"
        );
        assert_eq!(
            took, expected,
            "`one` has SIGUSR1 and SIGUSR2, and `other` SIGTERM; {sent} came: each kind is to be heard of once, by \
             whom it belongs to"
        );
    }
    assert_eq!(sent.len(), 5, "five times there were signals:\n{}", answer.0);
}

#[test]
fn what_was_taken_is_gone() {
    let answer = helper_said(&["signals", "heard"]);
    assert_eq!(answer.line("took-at-first"), "nothing", "before any signal came, somebody heard of one");
    for then in answer.lines("then") {
        assert_eq!(then, "nothing", "all was taken, and then it was there again");
    }
}

#[test]
fn removed_the_signals_do_what_they_did_before() {
    for how in ["removed", "cleared"] {
        let answer = helper_said(&["signals", how]);
        assert_eq!(
            answer.line("previous"),
            "2",
            "two owners of one signal each were {how}, and both signals came. How often was the handler called that \
             they had before? A signal is given back when its owner is {how}, and not when somebody gets to it"
        );
        assert_eq!(
            answer.line("took"),
            "nothing",
            "two owners were {how}, and somebody heard of their signals"
        );
        assert_eq!(
            answer.line("again"),
            "Ok",
            "two owners were {how}, and nobody else can have their signals"
        );
    }
}

#[test]
fn removed_an_owner_hears_of_nothing_that_came_before() {
    let took = helper_said(&["signals", "late"]);
    assert_eq!(
        took.line("took"),
        "nothing",
        "a signal came, its owner was removed, and then heard of it: what it works on may be gone"
    );
}

#[test]
fn owners_that_come_and_go_take_nothing_from_the_others() {
    let answer = helper_said(&["signals", "neighbours"]);
    for (word, event) in [("came", "another owner was added"), ("left", "another owner was removed")] {
        assert_eq!(
            answer.line(word),
            "one:SIGUSR1",
            "a signal came, {event}, and then it was asked what came. Whoever is made anew starts with nothing"
        );
    }
}

#[test]
fn an_old_token_removes_nobody() {
    let answer = helper_said(&["signals", "old-token"]);
    assert_eq!(
        answer.line("free"),
        "false",
        "an owner was removed, another was added, and the first one's token was used once more: it has given away the \
         other one's signal"
    );
    assert_eq!(
        answer.line("free-when-cleared"),
        "false",
        "all owners were cleared, another was added, and a token from before was used once more: it has given away the \
         new one's signal. What remembers who had a place has to outlive them"
    );
}

#[test]
fn who_is_refused_leaves_nothing_behind() {
    let answer = helper_said(&["signals", "refused"]);
    for (word, errno, signal) in [("owned", "EBUSY", "SIGUSR1"), ("unheard-of", "EINVAL", "SIGKILL")] {
        let said = answer.line(word);
        assert!(
            said.starts_with(errno) && said.contains(signal),
            "{signal} cannot be had, and whoever asked for it was told `{said}`, where {errno} and the signal's name \
             were to be said"
        );
    }
    assert_eq!(
        answer.line("kept"),
        "0",
        "two were refused their signals, and what they carried is still here"
    );
    assert_eq!(answer.line("took"), "1", "somebody was refused a signal, and its owner hears of it no more");
    assert_eq!(
        answer.line("free"),
        "true",
        "somebody was refused one of two signals, and nobody can have the other"
    );
}

#[test]
fn what_is_dropped_may_add_another() {
    for how in ["removed", "cleared", "refused"] {
        let answer = helper_said(&["signals", &format!("drop-{how}")]);
        assert_eq!(
            answer.line("ended"),
            "well",
            "an owner was {how}, and what it carried, when it was dropped, added another: the owners were still \
             borrowed. Take it out, let go of the borrow, and then drop it"
        );
        assert_eq!(
            answer.lines("next").next().unwrap_or("what it carried was never dropped"),
            "Ok",
            "an owner was {how}, and what it carried, when it was dropped, wanted the signal for another. It was to be \
             free by then: first the signals are given back"
        );
        assert_eq!(
            answer.line("took"),
            "1",
            "while an owner was {how}, another was added; then a signal came, and so many heard of it"
        );
    }
}

#[test]
fn on_a_loop_a_handler_may_send_its_signal_again_and_give_it_back() {
    let answer = helper_said(&["signals", "loop"]);
    assert_eq!(
        answer.lines("time").collect::<Vec<_>>(),
        ["1", "2"],
        "each time, it sent the signal once more"
    );
    assert_eq!(
        answer.line("previous"),
        "1",
        "the second time it gave the signal back, and then sent it: to the handler that the signal had before"
    );
}
