//! Exercise `waker/pipe`: what the kernel must show.
//!
//! Most of it is the contract of every waker, in `support/contract.rs`, which `eventfd` is held to as well.

mod support;

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use support::{ask, contract, ends};
use waker::pipe::Waker;

#[track_caller]
fn new() -> Waker {
    Waker::new().unwrap()
}

#[test]
fn a_wake_makes_it_ready() {
    contract::a_wake_makes_it_ready(&new());
}

#[test]
fn it_is_a_pipe_with_two_ends() {
    let waker = new();
    let ends = ends(&waker);
    assert!(
        ends.len() == 2 && ends.iter().all(|end| end.target.starts_with("pipe:")),
        "a waker on a pipe has its two ends, and this one has {ends:?}"
    );
}

#[test]
fn neither_end_blocks() {
    contract::cannot_block(new());
}

#[test]
fn neither_end_survives_exec() {
    contract::it_is_closed_on_exec(new());
}

#[test]
fn a_consumed_wake_is_gone() {
    contract::a_consumed_wake_is_gone(&new());
}

#[test]
fn many_wakes_are_one_readiness() {
    contract::many_wakes_are_one_readiness(&new());
}

#[test]
fn it_can_be_woken_again() {
    contract::it_can_be_woken_again(&new());
}

#[test]
fn consuming_without_a_wake_does_nothing() {
    contract::consuming_without_a_wake_does_nothing(&new());
}

#[test]
fn a_full_pipe_is_no_error() {
    contract::a_full_waker_is_no_error(&new(), "pipe");
}

#[test]
fn what_nobody_reads_does_not_grow() {
    let waker = new();
    contract::cannot_block(&waker);
    let capacity = fcntl(&waker, FcntlArg::F_GETPIPE_SZ).unwrap();
    let queued: i32 = ask(&["waker", "pipe", "storm"]).line("queued").parse().unwrap();
    assert!(
        (1..=capacity).contains(&queued),
        "after 200,000 wakes that nobody consumed there are {queued} bytes in the pipe, and it holds {capacity}"
    );
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    contract::a_wake_from_another_thread_ends_the_sleep(&new());
}

#[test]
fn it_leaves_no_descriptor_behind() {
    contract::it_leaves_no_descriptor_behind("pipe", "2");
}

#[test]
fn without_a_number_left_it_is_an_error() {
    contract::without_a_number_left_it_is_an_error("pipe");
}

#[test]
fn an_interrupted_call_is_made_again() {
    contract::an_interrupted_call_is_made_again(&new(), "pipe");
}

#[test]
fn another_error_of_consume_is_reported() {
    contract::another_error_is_reported(&new());
}

#[test]
fn without_a_reader_a_wake_is_an_error() {
    let waker = new();
    // Closes the end to read from, behind the waker's back.
    contract::replace(waker.as_fd(), &open("/dev/null", OFlag::O_RDONLY, Mode::empty()).unwrap());
    assert_eq!(
        waker.wake().map_err(|error| error.errno),
        Err(Errno::EPIPE),
        "nobody can be woken any more, and `wake` does not say so"
    );
}

#[test]
fn the_writer_wakes_too() {
    let waker = new();
    contract::the_writer_wakes_too(&waker, waker.writer());
}
