//! What this crate's tests have done in a process of its own.

mod accepting;
mod blocked;
mod blocking;
mod current;
mod epoll;
mod failing;
mod forked;
mod handlers;
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
        ["accepting", "stuck"] => accepting::stuck(),
        // The same, with this poller where nothing is said about it.
        ["on", poller, rest @ ..] => match poller.parse() {
            Ok(kind) => {
                ioloop::IoLoop::configure(kind);
                return answer(rest);
            }
            Err(words) => Err(words.into()),
        },
        ["blocked", what] => blocked::run(what),
        ["blocking", what] => blocking::run(what),
        ["current", what] => current::run(what),
        ["epoll", what] => epoll::run(what),
        ["failing", "no-memory", poller] => return failing::no_memory(poller),
        ["failing", which, poller] => failing::twice(which, poller),
        ["forked", poller] => poller.parse().map_err(Into::into).and_then(forked::run),
        ["handlers", registered] => match registered.parse() {
            Ok(registered) => return handlers::run(registered),
            Err(error) => Err(error.into()),
        },
        ["interrupted", poller] => poller.parse().map_err(Into::into).and_then(interrupted::run),
        ["signalled", what] => signalled::run(what),
        ["signals", what] => signals::run(what),
        ["sources", "broken"] => sources::broken(),
        ["sources", "unheard", poller] => poller.parse().map_err(Into::into).and_then(sources::unheard),
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
