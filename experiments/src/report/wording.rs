//! What varies from run to run, and what epoll reports, in words.
//!
//! What differs from run to run (a pid, a port, a time, an inode number) travels through the timeline between three
//! marks, with the name that stands for it. The terminal and the JSON show the value; the book's transcript shows the
//! name, and so stays the same.

use std::fmt::Display;

use nix::sys::epoll::EpollFlags;

const OPEN: char = '\u{2}';
const MIDDLE: char = '\u{3}';
const CLOSE: char = '\u{4}';

/// Mark `value` as something that varies, shown as `<name>` in a transcript.
///
/// `lab.note(format!("fork: the child is {}", vary("pid", pid)))`
pub fn vary(name: &str, value: impl Display) -> String {
    format!("{OPEN}{name}{MIDDLE}{value}{CLOSE}")
}

/// Text with its marks resolved: to names when `normalized`, else to values.
pub(crate) fn resolve(text: &str, normalized: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(OPEN) {
        out.push_str(before);
        let (name, after) = marked.split_once(MIDDLE).unwrap_or(("", marked));
        let (value, after) = after.split_once(CLOSE).unwrap_or((after, ""));
        if normalized {
            out.push('<');
            out.push_str(name);
            out.push('>');
        } else {
            out.push_str(value);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

const NAMES: [(EpollFlags, &str); 6] = [
    (EpollFlags::EPOLLIN, "IN"),
    (EpollFlags::EPOLLOUT, "OUT"),
    (EpollFlags::EPOLLPRI, "PRI"),
    (EpollFlags::EPOLLRDHUP, "RDHUP"),
    (EpollFlags::EPOLLERR, "ERR"),
    (EpollFlags::EPOLLHUP, "HUP"),
];

/// Events by their names without `EPOLL`: `IN|HUP`; `nothing` if there are none.
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
    fn a_varying_value_is_a_name_in_the_transcript_and_itself_elsewhere() {
        let text = format!("pid {} has port {}", vary("pid", 4711), vary("port", 80));
        assert_eq!(resolve(&text, true), "pid <pid> has port <port>");
        assert_eq!(resolve(&text, false), "pid 4711 has port 80");
        assert_eq!(resolve("nothing varies", true), "nothing varies");
    }

    #[test]
    fn events_have_short_names_and_what_has_none_is_a_number() {
        assert_eq!(events(EpollFlags::empty()), "nothing");
        assert_eq!(events(EpollFlags::EPOLLHUP | EpollFlags::EPOLLIN), "IN|HUP");
        assert_eq!(events(EpollFlags::EPOLLIN | EpollFlags::EPOLLMSG), "IN|0x400");
    }
}
