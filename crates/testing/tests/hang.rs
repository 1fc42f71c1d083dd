//! A helper that hangs: what is said of it, and what happens to the tests after it.

use nix::unistd::{alarm, pipe, read};
use testing::Helper;

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    match args {
        ["read"] => {
            // Long enough for the threads to be looked at.
            alarm::set(4);
            let (reader, _writer) = pipe().expect("a pipe can be made");
            i32::from(read(&reader, &mut [0]).is_ok())
        }
        _ => 0,
    }
}

#[test]
fn a_hang_is_explained_and_later_helpers_are_not_run() {
    let words = Helper::new(&["read"]).answer().expect_err("it hangs");
    for part in
        ["`read` hung until its alarm", "sleeps in read on descriptor", "whose write end is open: descriptor"]
    {
        assert!(words.contains(part), "no «{part}» in: {words}");
    }
    let words = Helper::new(&["nothing"]).answer().expect_err("it is not run");
    assert_eq!(words, "not run: the helper of another test hung");
}
