//! Exercise `waker/eventfd`: what the kernel must show.
//!
//! Most of it is the contract of every waker, in `support/contract.rs`, which `pipe` is held to as well.

mod support;

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{read, write};
use support::{contract, ends, is_ready};
use waker::eventfd::Waker;

#[track_caller]
fn new() -> Waker {
    Waker::new().unwrap()
}

#[test]
fn a_wake_makes_it_ready() {
    contract::a_wake_makes_it_ready(&new());
}

#[test]
fn it_is_an_eventfd() {
    let waker = new();
    let target = &ends(&waker)[0].target;
    assert_eq!(target, "anon_inode:[eventfd]", "`as_fd` lends something else than an eventfd");
}

#[test]
fn it_does_not_block() {
    contract::cannot_block(new());
}

#[test]
fn it_does_not_survive_exec() {
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
fn many_wakes_with_nobody_reading_are_no_error() {
    contract::a_full_waker_is_no_error(&new(), "eventfd");
}

/// The highest that the counter goes. A write that would bring it further is refused.
const HIGHEST: u64 = u64::MAX - 1;

#[test]
fn a_counter_at_its_highest_is_a_pending_wake() {
    let waker = new();
    contract::cannot_block(&waker);
    write(&waker, &HIGHEST.to_ne_bytes()).unwrap();
    let woken = waker.wake();
    assert!(
        woken.is_ok(),
        "the counter was at its highest, and a wake was an error: {woken:?}. EAGAIN says that it cannot grow, so it is \
         not zero, so it is ready, and that is all that a wake is for"
    );
    assert!(is_ready(&waker), "the counter was at its highest, and it is not ready");
}

#[test]
fn one_consume_takes_the_highest_count() {
    let waker = new();
    contract::cannot_block(&waker);
    write(&waker, &HIGHEST.to_ne_bytes()).unwrap();
    waker.consume().unwrap();
    let left = read(&waker, &mut [0; 8]);
    assert_eq!(
        left,
        Err(Errno::EAGAIN),
        "the counter was at its highest and was consumed, and it is not zero. With EFD_SEMAPHORE a read takes one away"
    );
    waker.wake().unwrap();
    assert!(
        is_ready(&waker),
        "the counter was at its highest and was consumed, and cannot be woken any more"
    );
}

#[test]
fn a_wake_adds_to_what_is_there() {
    let waker = new();
    contract::cannot_block(&waker);
    write(&waker, &5_u64.to_ne_bytes()).unwrap();
    waker.wake().unwrap();
    let mut count = [0; 8];
    read(&waker, &mut count).unwrap();
    let count = u64::from_ne_bytes(count);
    assert!(count > 5, "the counter was at 5, and after a wake it is at {count}: nothing was added");
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    contract::a_wake_from_another_thread_ends_the_sleep(&new());
}

#[test]
fn it_leaves_no_descriptor_behind() {
    contract::it_leaves_no_descriptor_behind("eventfd", "1");
}

#[test]
fn without_a_number_left_it_is_an_error() {
    contract::without_a_number_left_it_is_an_error("eventfd");
}

#[test]
fn an_interrupted_call_is_made_again() {
    contract::an_interrupted_call_is_made_again(&new(), "eventfd");
}

#[test]
fn another_error_of_consume_is_reported() {
    contract::another_error_is_reported(&new());
}

#[test]
fn another_error_of_wake_is_reported() {
    let waker = new();
    contract::replace(waker.as_fd(), &open("/dev/null", OFlag::O_RDONLY, Mode::empty()).unwrap());
    assert_eq!(
        waker.wake().map_err(|error| error.errno),
        Err(Errno::EBADF),
        "the descriptor cannot be written to any more, and `wake` does not say so"
    );
}

#[test]
fn the_writer_wakes_too() {
    let waker = new();
    contract::the_writer_wakes_too(&waker, waker.writer());
}
