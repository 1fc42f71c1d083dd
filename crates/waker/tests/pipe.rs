//! Tests of the exercise `waker/pipe`. Each looks at the pipe through poll, `/proc` or the tracer.
//!
//! Most of them check the contract of every waker, in `support/contract.rs`; `eventfd` has the same contract.

mod support;

#[path = "scenarios/wakers.rs"]
mod scenarios;

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::write;
use support::{ask, contract, ends, is_ready, traced};
use waker::pipe::Waker;

testing::helper!(|args| support::helper::answer(args, scenarios::run));

#[track_caller]
fn new() -> Waker {
    Waker::new().unwrap()
}

#[test]
fn a_wake_makes_the_waker_ready() {
    contract::a_wake_makes_the_waker_ready(&new());
}

#[test]
fn the_waker_is_a_pipe_with_two_ends() {
    let waker = new();
    let ends = ends(&waker);
    assert!(
        ends.len() == 2 && ends.iter().all(|end| end.target.starts_with("pipe:")),
        "a waker on a pipe should have two descriptors, the ends of one pipe, and this one has {ends:?}"
    );
}

#[test]
fn neither_end_blocks() {
    contract::is_nonblocking(new());
}

#[test]
fn neither_end_survives_exec() {
    contract::is_close_on_exec(new());
}

#[test]
fn both_ends_are_close_on_exec_from_the_start() {
    contract::is_close_on_exec_from_the_start("pipe");
}

#[test]
fn consume_ends_the_readiness() {
    contract::consume_ends_the_readiness(&new());
}

#[test]
fn one_consume_ends_many_wakes() {
    contract::one_consume_ends_many_wakes(&new());
}

#[test]
fn a_consumed_waker_can_be_woken_again() {
    contract::a_consumed_waker_can_be_woken_again(&new());
}

#[test]
fn consume_without_a_wake_succeeds() {
    contract::consume_without_a_wake_succeeds(&new());
}

#[test]
fn a_wake_into_a_full_pipe_succeeds() {
    contract::a_wake_of_a_full_waker_succeeds(&new(), "pipe");
}

#[test]
fn unread_wakes_do_not_exceed_the_capacity() {
    let waker = new();
    contract::is_nonblocking(&waker);
    let capacity = fcntl(&waker, FcntlArg::F_GETPIPE_SZ).unwrap();
    let queued: i32 = ask(&["waker", "pipe", "storm"]).line("queued").parse().unwrap();
    assert!(
        (1..=capacity).contains(&queued),
        "after 10,000 wakes without a read, {queued} bytes are in the pipe, whose capacity is {capacity}"
    );
}

/// The capacity that this test asks for: 16 times the usual one.
const LARGE: i32 = 1 << 20;

#[test]
fn a_large_full_pipe_is_left_as_it_is_by_wake_and_emptied_by_consume() {
    let waker = new();
    contract::is_nonblocking(&waker);
    // Refused if the user has many pipes: then the usual capacity is full.
    let _ = fcntl(&waker, FcntlArg::F_SETPIPE_SZ(LARGE));
    while write(waker.writer(), &[0; 4096]).is_ok() {}
    let full = scenarios::queued(&waker);
    waker.wake().unwrap();
    assert!(
        is_ready(&waker),
        "the pipe was full, and after `wake` it is empty. A wake into a full pipe has nothing to do: what is in the pipe \
         already makes it readable"
    );
    let left = scenarios::queued(&waker);
    assert_eq!(
        left, full,
        "the pipe was full with {full} bytes, and after `wake` it has {left}. `wake` only writes: only the loop's `consume` \
         reads, which must not miss a wake. After EAGAIN, return Ok"
    );
    waker.consume().unwrap();
    assert!(
        !is_ready(&waker),
        "the pipe had a large capacity and was full, and after one `consume` it is still readable. No number of bytes is \
         the maximum: read until EAGAIN"
    );
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    contract::a_wake_from_another_thread_ends_the_sleep(&new());
}

#[test]
fn close_and_drop_close_every_descriptor() {
    contract::close_and_drop_close_every_descriptor("pipe", "2");
}

#[test]
fn running_out_of_descriptors_is_an_error() {
    contract::running_out_of_descriptors_is_an_error("pipe");
}

#[test]
fn an_interrupted_call_is_retried() {
    contract::an_interrupted_call_is_retried(&new(), "pipe");
}

#[test]
fn any_other_error_of_consume_is_returned() {
    contract::any_other_error_of_consume_is_returned(&new());
}

#[test]
fn consume_returns_at_end_of_file() {
    let Some(answer) = traced("as-it-is", &["waker", "pipe", "end-of-file"]) else { return };
    assert!(
        answer.lines("endless").next().is_none(),
        "other code closed the write end, so each read returns 0 once the pipe is empty, and `consume` reads without end. \
         0 is end of file: there is nothing left to read, so return"
    );
    assert_eq!(
        answer.line("consumed"),
        "Ok(())",
        "other code closed the write end, and `consume` was called twice: what was in the pipe is consumed, so end of file is no \
         error. (`poll` goes on to report POLLHUP, and a loop that gets an error each time can do nothing about it.)"
    );
}

#[test]
fn a_wake_without_a_reader_is_epipe() {
    // Otherwise the child would have the read end, too.
    let _alone = testing::no_child_is_born();
    let waker = new();
    // Closes the read end without the waker's knowledge.
    contract::replace(waker.as_fd(), &open("/dev/null", OFlag::O_RDONLY, Mode::empty()).unwrap());
    assert_eq!(
        waker.wake().map_err(|error| error.errno),
        Err(Errno::EPIPE),
        "the read end is closed, so a wake has no effect, and `wake` did not return the error"
    );
}

#[test]
fn any_other_error_of_wake_is_returned() {
    let waker = new();
    contract::any_other_error_of_wake_is_returned(&waker, waker.writer());
}

#[test]
fn a_write_to_writer_wakes() {
    let waker = new();
    contract::a_write_to_writer_wakes(&waker, waker.writer());
}
