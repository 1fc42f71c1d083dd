//! What epoll reports, as a timeline says it.

use nix::sys::epoll::EpollFlags;

const NAMES: [(EpollFlags, &str); 6] = [
    (EpollFlags::EPOLLIN, "IN"),
    (EpollFlags::EPOLLOUT, "OUT"),
    (EpollFlags::EPOLLPRI, "PRI"),
    (EpollFlags::EPOLLRDHUP, "RDHUP"),
    (EpollFlags::EPOLLERR, "ERR"),
    (EpollFlags::EPOLLHUP, "HUP"),
];

/// Events by their names, without what all of these begin with: `IN|HUP`. None at all: `nothing`.
pub fn events(events: EpollFlags) -> String {
    let mut names: Vec<String> = NAMES
        .iter()
        .filter(|(event, _)| events.contains(*event))
        .map(|(_, name)| (*name).to_owned())
        .collect();
    let others = NAMES.iter().fold(events, |rest, (event, _)| rest - *event);
    if !others.is_empty() {
        names.push(format!("{:#x}", others.bits()));
    }
    if names.is_empty() { "nothing".into() } else { names.join("|") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_short_names_and_what_has_none_is_a_number() {
        assert_eq!(events(EpollFlags::empty()), "nothing");
        assert_eq!(events(EpollFlags::EPOLLHUP | EpollFlags::EPOLLIN), "IN|HUP");
        assert_eq!(events(EpollFlags::EPOLLIN | EpollFlags::EPOLLMSG), "IN|0x400");
    }
}
