//! What this crate's tests have done in a process of its own.

mod accepting;
mod blocked;
mod blocking;
mod current;
mod epoll;
mod forked;
mod interrupted;
mod signalled;
mod signals;
mod sources;

/// Errors are only ever shown.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    let outcome = match args {
        ["accepting", "no-descriptor", poller] => {
            poller.parse().map_err(Into::into).and_then(accepting::no_descriptor)
        }
        ["blocked", what] => blocked::run(what),
        ["blocking", what] => blocking::run(what),
        ["current", what] => current::run(what),
        ["epoll", what] => epoll::run(what),
        ["forked", poller] => poller.parse().map_err(Into::into).and_then(forked::run),
        ["interrupted", poller] => poller.parse().map_err(Into::into).and_then(interrupted::run),
        ["signalled", what] => signalled::run(what),
        ["signals", what] => signals::run(what),
        ["sources", "broken"] => sources::broken(),
        ["sources", "many", poller] => poller.parse().map_err(Into::into).and_then(sources::many),
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
