//! The whole: a loop leaves nothing behind. A single test, because it counts the descriptors of the whole process.

mod support;

use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Current, Events, IoLoop};

#[test]
fn two_thousand_loops_leave_no_descriptor() {
    testing::needs!(proc);
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let make = |poller| {
        let config = Config { poller, make_current: Current::No, ..Config::default() };
        let ioloop = IoLoop::with(config).unwrap();
        let (reader, _writer) = support::a_pipe();
        ioloop.add_handler(reader, Events::READ, |_, _, _| ()).unwrap();
        ioloop.call_later(Duration::from_secs(1), |_| ());
        ioloop.spawn(std::future::pending::<()>());
    };
    for poller in Kind::ALL {
        make(poller);
        let before = open();
        (0..2000).for_each(|_| make(poller));
        assert_eq!(open(), before, "2000 loops on {poller} were made and dropped");
    }
}
