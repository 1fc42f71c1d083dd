//! Chapter 4: what a wake costs, beside the bare system calls.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use nix::fcntl::OFlag;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{pipe2, read, write};
use waker::coalesced::Coalesced;
use waker::{eventfd, pipe};

/// One thread wakes and consumes: the whole price of a wake-up but for the sleep.
fn wake_and_consume(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake and consume");
    let bare = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).expect("an eventfd");
    group.bench_function("eventfd, bare: write, read", |bencher| {
        bencher.iter(|| {
            write(&bare, &1_u64.to_ne_bytes()).expect("room");
            read(&bare, &mut [0; 8]).expect("a count")
        });
    });
    let ours = eventfd::Waker::new().expect("an eventfd");
    group.bench_function("eventfd, ours", |bencher| {
        bencher.iter(|| {
            ours.wake().expect("a wake");
            ours.consume().expect("its end");
        });
    });
    let coalesced = Coalesced::new(eventfd::Waker::new().expect("an eventfd"));
    group.bench_function("eventfd, ours, coalesced", |bencher| {
        bencher.iter(|| {
            coalesced.wake().expect("a wake");
            coalesced.consume_then(|| ()).expect("its end");
        });
    });
    let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).expect("a pipe");
    group.bench_function("pipe, bare: write, read", |bencher| {
        bencher.iter(|| {
            write(&writer, b"x").expect("room");
            read(&reader, &mut [0; 512]).expect("a byte")
        });
    });
    let ours = pipe::Waker::new().expect("a pipe");
    group.bench_function("pipe, ours", |bencher| {
        bencher.iter(|| {
            ours.wake().expect("a wake");
            ours.consume().expect("its end");
        });
    });
    group.finish();
}

/// A wake while one is pending: what the thousandth callback in a row pays.
fn wake_again(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a wake that is already pending");
    let flag = AtomicBool::new(true);
    group.bench_function("an atomic swap, bare", |bencher| {
        bencher.iter(|| black_box(&flag).swap(true, Ordering::AcqRel));
    });
    let coalesced = Coalesced::new(eventfd::Waker::new().expect("an eventfd"));
    coalesced.wake().expect("a wake");
    group.bench_function("coalesced", |bencher| bencher.iter(|| black_box(&coalesced).wake()));
    let eventfd = eventfd::Waker::new().expect("an eventfd");
    group.bench_function("eventfd", |bencher| bencher.iter(|| black_box(&eventfd).wake()));
    let pipe = pipe::Waker::new().expect("a pipe");
    group.bench_function("pipe, full", |bencher| bencher.iter(|| black_box(&pipe).wake()));
    group.finish();
}

/// The same in turns, for the ratio.
fn beside_the_bare_calls(_: &mut Criterion) {
    let bare = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).expect("an eventfd");
    let ours = eventfd::Waker::new().expect("an eventfd");
    bench::compare(
        "wake and consume, eventfd: ours beside write and read",
        || {
            write(&bare, &1_u64.to_ne_bytes()).expect("room");
            read(&bare, &mut [0; 8]).expect("a count");
        },
        || {
            ours.wake().expect("a wake");
            ours.consume().expect("its end");
        },
    );
}

criterion_group!(benches, wake_and_consume, wake_again, beside_the_bare_calls);
criterion_main!(benches);
