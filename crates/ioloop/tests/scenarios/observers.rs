//! `observers no-memory POLLER`: a loop whose wait is refused once. `observers WHICH POLLER`: one panic inside another.

use std::panic::{set_hook, take_hook};

use ioloop::{Config, IoLoop};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use testing::tracer::{self, Call};
use testing::{exit_code, judged};

use super::support::Outcome;

/// The first wait is refused.
struct NoMemory(bool);

impl tracer::Kernel for NoMemory {
    fn words(&self, _: &Call) -> Option<String> {
        None
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let waits =
            matches!(call.name, "epoll_wait" | "epoll_pwait" | "poll" | "ppoll" | "select" | "pselect6");
        (waits && std::mem::take(&mut self.0)).then_some(-(Errno::ENOMEM as i64))
    }
}

fn on(poller: &str) -> Result<IoLoop, Box<dyn std::error::Error>> {
    Ok(IoLoop::with(Config { poller: poller.parse()?, ..Config::default() })?)
}

pub fn no_memory(poller: &str) -> i32 {
    let scenario = || {
        let ioloop = on(poller)?;
        let started = judged(|| ioloop.start());
        println!("start {}", started.map_or_else(|error| error.to_string(), |()| "Ok".into()));
        ioloop.add_callback(|ioloop| {
            println!("again ran");
            ioloop.stop();
        });
        ioloop.start()?;
        Outcome::Ok(())
    };
    tracer::run(&mut NoMemory(true), || exit_code(scenario()))
}

pub fn twice(which: &str, poller: &str) -> Outcome {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("the second panic");
        }
    }

    // The process ends with SIGABRT, and must not leave a core file.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let ioloop = on(poller)?;
    match which {
        "in-a-destructor" => ioloop.add_callback(|_| -> () {
            let _panics = Panics;
            panic!("the first panic");
        }),
        "in-the-programs-hook" => {
            let usual = take_hook();
            set_hook(Box::new(move |panic| {
                usual(panic);
                panic!("the second panic");
            }));
            ioloop.add_callback(|_| -> () { panic!("the first panic") });
        }
        _ => return Err(format!("nothing is called {which}").into()),
    }
    ioloop.add_callback(IoLoop::stop);
    ioloop.start()?;
    Ok(())
}
