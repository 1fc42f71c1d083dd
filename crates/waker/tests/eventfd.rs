//! Tests of the exercise `waker/eventfd`. Each looks at the eventfd through poll, `/proc` or the tracer.
//!
//! Most of them check the contract of every waker, in `support/contract.rs`; `pipe` has the same contract.

mod support;

#[path = "scenarios/wakers.rs"]
mod scenarios;

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::unistd::{read, write};
use support::{contract, ends, is_ready};
use waker::eventfd::Waker;

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
fn the_waker_is_an_eventfd() {
    let waker = new();
    let target = &ends(&waker)[0].target;
    assert_eq!(target, "anon_inode:[eventfd]", "`as_fd` should lend an eventfd");
}

#[test]
fn the_eventfd_is_nonblocking() {
    contract::is_nonblocking(new());
}

#[test]
fn the_eventfd_does_not_survive_exec() {
    contract::is_close_on_exec(new());
}

#[test]
fn the_eventfd_is_close_on_exec_from_the_start() {
    contract::is_close_on_exec_from_the_start("eventfd");
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
fn unread_wakes_succeed() {
    contract::a_wake_of_a_full_waker_succeeds(&new(), "eventfd");
}

/// The counter's maximum. A write that would exceed it fails with EAGAIN.
const MAXIMUM: u64 = u64::MAX - 1;

/// The counter, as `/proc` shows it. A read would change it, and return 1 with EFD_SEMAPHORE.
#[track_caller]
fn counter(waker: &Waker) -> u64 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", waker.as_fd().as_raw_fd())).unwrap();
    let count = info.lines().find_map(|line| line.strip_prefix("eventfd-count:"));
    u64::from_str_radix(count.expect("an eventfd has the line").trim(), 16).expect("a hexadecimal number")
}

#[test]
fn a_counter_at_its_maximum_is_a_pending_wake() {
    let waker = new();
    contract::is_nonblocking(&waker);
    write(&waker, &MAXIMUM.to_ne_bytes()).unwrap();
    let woken = waker.wake();
    assert!(
        woken.is_ok(),
        "the counter was at its maximum, and `wake` returned {woken:?}. EAGAIN means that the counter cannot grow, \
         so it is not zero, so it is already readable: return Ok"
    );
    assert!(is_ready(&waker), "the counter was at its maximum, and poll does not report it as readable");
    let count = counter(&waker);
    assert_eq!(
        count, MAXIMUM,
        "the counter was at its maximum, and after a wake it is {count}. `wake` only writes: if it reads, the counter is zero \
         until the next write, and a loop that polls then sleeps on. After EAGAIN, return Ok"
    );
}

#[test]
fn one_consume_resets_the_maximum() {
    let waker = new();
    contract::is_nonblocking(&waker);
    write(&waker, &MAXIMUM.to_ne_bytes()).unwrap();
    waker.consume().unwrap();
    let left = read(&waker, &mut [0; 8]);
    assert_eq!(
        left,
        Err(Errno::EAGAIN),
        "the counter was at its maximum, and after `consume` it is not zero. Did you pass EFD_SEMAPHORE? With that \
         flag, a read only decrements the counter"
    );
    waker.wake().unwrap();
    assert!(is_ready(&waker), "the counter was at its maximum, and after `consume`, `wake` has no effect");
}

#[test]
fn a_wake_adds_to_the_counter() {
    let waker = new();
    contract::is_nonblocking(&waker);
    write(&waker, &5_u64.to_ne_bytes()).unwrap();
    waker.wake().unwrap();
    let mut count = [0; 8];
    read(&waker, &mut count).unwrap();
    let count = u64::from_ne_bytes(count);
    assert!(count > 5, "the counter was 5, and after a wake it is {count}. `wake` should add to it");
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    contract::a_wake_from_another_thread_ends_the_sleep(&new());
}

#[test]
fn close_and_drop_close_every_descriptor() {
    contract::close_and_drop_close_every_descriptor("eventfd", "1");
}

#[test]
fn running_out_of_descriptors_is_an_error() {
    contract::running_out_of_descriptors_is_an_error("eventfd");
}

#[test]
fn an_interrupted_call_is_retried() {
    contract::an_interrupted_call_is_retried(&new(), "eventfd");
}

#[test]
fn any_other_error_of_consume_is_returned() {
    contract::any_other_error_of_consume_is_returned(&new());
}

#[test]
fn any_other_error_of_wake_is_returned() {
    let waker = new();
    contract::any_other_error_of_wake_is_returned(&waker, waker.as_fd());
}

#[test]
fn a_write_to_writer_wakes() {
    let waker = new();
    contract::a_write_to_writer_wakes(&waker, waker.writer());
}
