//! The scenarios that this crate's tests run in a process of their own.

mod accept;
mod blocked;
mod current;
mod epoll;
mod forked;
mod interrupted;
mod observers;
mod registration;
mod signalled;
mod signals;
mod slab;
mod watchdog;

/// Errors are only printed.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs what the arguments say, and returns the exit code.
pub fn answer(args: &[&str]) -> i32 {
    let outcome = match args {
        ["accept", "no-descriptor", poller] => {
            poller.parse().map_err(Into::into).and_then(accept::no_descriptor)
        }
        ["accept", "stuck"] => accept::stuck(),
        // The same, with this poller as the default.
        ["on", poller, rest @ ..] => match poller.parse() {
            Ok(kind) => {
                ioloop::IoLoop::configure(kind);
                return answer(rest);
            }
            Err(words) => Err(words.into()),
        },
        ["blocked", what] => blocked::run(what),
        ["watchdog", what] => watchdog::run(what),
        ["current", what] => current::run(what),
        ["epoll", what] => epoll::run(what),
        ["observers", "no-memory", poller] => return observers::no_memory(poller),
        ["observers", which, poller] => observers::twice(which, poller),
        ["traced", kernel, rest @ ..] => return epoll::on_a_kernel(kernel, || answer(rest)),
        ["forked", poller] => poller.parse().map_err(Into::into).and_then(forked::run),
        ["slab", registered] => match registered.parse() {
            Ok(registered) => return slab::run(registered),
            Err(error) => Err(error.into()),
        },
        ["interrupted", poller] => poller.parse().map_err(Into::into).and_then(interrupted::run),
        ["signalled", what] => signalled::run(what),
        ["signals", what] => signals::run(what),
        ["registration", "broken"] => registration::broken(),
        ["registration", "unheard", poller] => {
            poller.parse().map_err(Into::into).and_then(registration::unheard)
        }
        ["registration", "many", poller] => poller.parse().map_err(Into::into).and_then(registration::many),
        ["zygote"] => return super::zygote::serve(answer),
        _ => Err(format!("this helper knows no such scenario: {args:?}").into()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("{error}");
            1
        },
        |()| 0,
    )
}
