//! What this crate's tests have done in a process of its own.

mod blocking;
mod current;
mod epoll;
mod signals;

/// Errors are only ever shown.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    let outcome = match args {
        ["blocking", what] => blocking::run(what),
        ["current", what] => current::run(what),
        ["epoll", what] => epoll::run(what),
        ["signals", what] => signals::run(what),
        _ => Err(format!("no such thing is asked of this helper: {args:?}").into()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("{error}");
            1
        },
        |()| 0,
    )
}
