//! `current WHAT`: the current loop of a thread, and the instance of the process.

use std::thread;

use ioloop::poller::Kind;
use ioloop::{Config, Current, IoLoop};

use super::support::Outcome;

pub fn run(what: &str) -> Outcome {
    let said = match what {
        "first" => first(),
        "running" => running(),
        "panic" => panicking(),
        "forced" => forced(),
        "dropped" => dropped(),
        "closed" => closed(),
        "instance" => instance(),
        "after" => after(),
        "configured" => configured(),
        "fork" => fork(),
        _ => return Err(format!("nothing is called {what}").into()),
    }?;
    println!("{said}");
    Ok(())
}

fn is_current(ioloop: &IoLoop) -> &'static str {
    match IoLoop::current_only() {
        Some(current) if current.is(&ioloop.handle()) => "current",
        _ => "no",
    }
}

fn aside() -> ioloop::Result<IoLoop> {
    IoLoop::with(Config { make_current: Current::No, ..Config::default() })
}

fn first() -> ioloop::Result<String> {
    let (one, other) = (IoLoop::new()?, IoLoop::new()?);
    let there = thread::spawn(|| IoLoop::new().map(|ioloop| is_current(&ioloop))).join();
    let there = there.expect("no panic")?;
    Ok(format!(
        "first: {}; second: {}; another thread's: {there} there",
        is_current(&one),
        is_current(&other)
    ))
}

fn running() -> ioloop::Result<String> {
    let ioloop = aside()?;
    let before = IoLoop::current_only().is_some();
    let inside = ioloop.run_sync(async { IoLoop::current_only().is_some() }, None).unwrap_or_default();
    let after = IoLoop::current_only().is_some();
    let other = aside()?;
    other.make_current();
    ioloop.run_sync(async {}, None).ok();
    let back = if is_current(&other) == "current" { "that is back" } else { "it is lost" };
    let word = |yes| if yes { "yes" } else { "no" };
    Ok(format!(
        "before: {}; inside: {}; after: {}; with another one: {back}",
        word(before),
        word(inside),
        word(after)
    ))
}

fn panicking() -> ioloop::Result<String> {
    let (first, other) = (IoLoop::new()?, aside()?);
    other.handle_callback_exception(|_, _| panic!("in the hook"));
    other.add_callback(|_| Err::<(), _>("for the hook"));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.start())).is_err();
    let after = if is_current(&first) == "current" && unwound { "the first" } else { "another" };
    other.handle_callback_exception(|_, _| ());
    other.add_callback(IoLoop::stop);
    let again = if other.start().is_ok() { "yes" } else { "no" };
    Ok(format!("after: {after}; started again: {again}"))
}

fn forced() -> ioloop::Result<String> {
    let first = IoLoop::new()?;
    let second = IoLoop::with(Config { make_current: Current::Required, ..Config::default() });
    let errno = second.map_or_else(|error| format!("{:?}", error.errno), |_| "Ok".into());
    let current = if is_current(&first) == "current" { "the first" } else { "another" };
    Ok(format!("{errno}; current: {current}"))
}

fn dropped() -> ioloop::Result<String> {
    drop(IoLoop::new()?);
    let current = if IoLoop::current().is_some() { "one" } else { "none" };
    let _ioloop = IoLoop::new()?;
    IoLoop::clear_current();
    let cleared = if IoLoop::current().is_some() { "one" } else { "none" };
    Ok(format!("current: {current}; cleared: {cleared}"))
}

fn closed() -> ioloop::Result<String> {
    let word = |ioloop: Option<IoLoop>| if ioloop.is_some() { "one" } else { "none" };
    let first = IoLoop::new()?;
    first.close();
    let current = word(IoLoop::current());
    let next = IoLoop::new()?;
    let of_next = is_current(&next);
    next.close();
    let required = IoLoop::with(Config { make_current: Current::Required, ..Config::default() });
    let said = required.as_ref().map_or_else(|error| format!("{:?}", error.errno), |_| "Ok".into());
    drop(required);
    let last = IoLoop::new()?;
    let inside = last.run_sync(
        async {
            IoLoop::current().inspect(IoLoop::close);
            IoLoop::current().is_some()
        },
        None,
    );
    let inside = if inside.unwrap_or_default() { "yes" } else { "no" };
    let after = word(IoLoop::current());
    let installed = last.install().map_or_else(|error| format!("{:?}", error.errno), |()| "Ok".into());
    let instance = aside()?;
    instance.install()?;
    instance.close();
    Ok(format!(
        "current: {current}; the next loop: {of_next}; required: {said}; in a run that closes the loop: {inside}; after \
         it: {after}; installed: {installed}; instance of a thread that closed it: {}",
        word(IoLoop::current())
    ))
}

fn instance() -> ioloop::Result<String> {
    let before = if IoLoop::instance().is_some() { "one" } else { "none" };
    let ioloop = aside()?;
    ioloop.install()?;
    let twice = aside()?.install().map_or_else(|error| format!("{:?}", error.errno), |()| "Ok".into());
    let here = match IoLoop::current() {
        Some(current) if current.is(&ioloop.handle()) => "current",
        _ => "none",
    };
    let only = if IoLoop::current_only().is_some() { "one" } else { "none" };
    let there = thread::spawn(|| match (IoLoop::instance(), IoLoop::current()) {
        (Some(_), None) => "a handle, not current",
        (Some(_), Some(_)) => "current",
        (None, _) => "none",
    });
    let there = there.join().expect("no panic");
    Ok(format!(
        "before: {before}; installed; twice: {twice}; in its thread: {here}, and without it {only}; elsewhere: {there}"
    ))
}

/// The instance is dropped, or closed, while a handle to it exists.
fn after() -> ioloop::Result<String> {
    let mut said = Vec::new();
    for how in ["dropped", "closed"] {
        let first = aside()?;
        first.install()?;
        let handle = first.handle();
        let closed = (how == "closed").then(|| first.clone());
        closed.iter().for_each(IoLoop::close);
        drop(first);
        let between = if IoLoop::instance().is_some() { "one" } else { "none" };
        let second = aside()?;
        let installed = second.install().map_or_else(|error| format!("{:?}", error.errno), |()| "Ok".into());
        let found = IoLoop::instance().is_some_and(|found| second.is(&found));
        said.push(format!(
            "{how}: {between}, then {installed}, {}",
            if found { "the second" } else { "another" }
        ));
        drop(handle);
    }
    Ok(said.join("; "))
}

fn configured() -> ioloop::Result<String> {
    let first = aside()?.kind();
    IoLoop::configure(Kind::Poll);
    let second = aside()?.kind();
    let third = IoLoop::with(Config { poller: Kind::Select, ..Config::default() })?.kind();
    let unknown = "kqueue".parse::<Kind>().map_or_else(|words| words, |kind| kind.to_string());
    Ok(format!("{first}; configured: {second}; argument: {third}; unknown: {unknown}"))
}

fn fork() -> ioloop::Result<String> {
    let _ioloop = IoLoop::new()?;
    Ok(prefork::fork::fork(|| 0).map_or_else(|error| error.to_string(), |_| "forked".into()))
}
