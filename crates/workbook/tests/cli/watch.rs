//! `watch`: a verdict at each save.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use crate::checkout::{ADD_SOLVED, Checkout};

#[test]
fn each_save_has_its_verdict() {
    let checkout = Checkout::new();
    let running = checkout.start(checkout.command(&["watch"]));
    // It begins with the first that is open, and then waits.
    let told = running.await_words("toy/add  0 of 4 tests pass", 0);
    let told = running.await_words("Save a file; Ctrl-C ends.", told);
    checkout.solve("add", "pub fn add(a: i32, b: i32) -> i32 {\n    (a + b).abs()\n}\n");
    let told = running.await_words("is the sign lost?", told);
    let told = running.await_words("hint add", told);
    // As editors do: a file beside it, and a rename.
    checkout.write("crates/toy/exercises/.add.rs.swp", ADD_SOLVED);
    let folder = checkout.path("crates/toy/exercises");
    fs::rename(folder.join(".add.rs.swp"), folder.join("add.rs")).expect("a rename");
    let told = running.await_words("toy/add was saved", told);
    let told = running.await_words("4 of 4 tests pass", told);
    let told = running.await_words("solution add", told);
    // What another terminal remembers meanwhile stays remembered.
    checkout.workbook(&["run", "fd-vanishes"]).expect(0, &[]);
    checkout.solve("twice", "not Rust");
    let told = running.await_words("error", told);
    running.await_words("toy/twice does not compile", told);
    running.signal(Signal::SIGINT);
    running.end().expect(130, &["stopped"]);
    checkout.workbook(&["status"]).expect(0, &["1 of 3 experiments run, 1 of 2 exercises done"]);
}

#[test]
fn polling_sees_a_save_and_ends_in_the_middle_of_a_check() {
    let checkout = Checkout::new();
    let running = checkout.start(checkout.command(&["watch", "twice", "--poll"]));
    let told = running.await_words("four times a second", 0);
    checkout.add_does("shell(\"sleep 4000; :\", true).wait().unwrap();");
    running.await_words("toy/add was saved", told);
    checkout.await_process("sleep 4000");
    running.signal(Signal::SIGTERM);
    running.end().expect(130, &["stopped"]);
}

/// As a change of branches does it: the folder is removed, and another one of its name is made.
#[test]
fn a_save_in_a_folder_that_was_replaced_is_seen() {
    for args in [&["watch", "add"][..], &["watch", "add", "--poll"]] {
        let checkout = Checkout::new();
        let running = checkout.start(checkout.command(args));
        let mut told = running.await_words("Save a file; Ctrl-C ends.", 0);
        // The folder itself, and the one in which it is.
        for (round, folder) in ["crates/toy/exercises", "crates/toy", "crates"].into_iter().enumerate() {
            let folder = checkout.path(folder);
            let aside = checkout.home().join(format!("aside-{round}"));
            fs::rename(&folder, &aside).expect("a rename");
            let copied = checkout
                .program("/bin/cp", &["-r", &aside.display().to_string(), &folder.display().to_string()]);
            checkout.run(copied).expect(0, &[]);
            checkout.solve("add", &format!("{ADD_SOLVED}// {round}\n"));
            told = running.await_words("toy/add was saved", told);
            told = running.await_words("4 of 4 tests pass", told);
            // And the ones after it.
            checkout.solve("add", "pub fn add(a: i32, b: i32) -> i32 {\n    (a + b).abs()\n}\n");
            told = running.await_words("is the sign lost?", told);
        }
        running.signal(Signal::SIGINT);
        running.end().expect(130, &["stopped"]);
    }
}

#[test]
fn a_folder_that_is_missing_at_first_is_watched_once_it_is_there() {
    for args in [&["watch", "add"][..], &["watch", "add", "--poll"]] {
        let checkout = Checkout::new();
        fs::remove_dir_all(checkout.path("crates/toy/exercises")).expect("it was there");
        let running = checkout.start(checkout.command(args));
        let told = running.await_words("crates/toy/exercises/add.rs is missing", 0);
        let told = running.await_words("Save a file; Ctrl-C ends.", told);
        checkout.workbook(&["reset", "add"]).expect(0, &["it is there again"]);
        let told = running.await_words("toy/add was saved", told);
        let told = running.await_words("0 of 4 tests pass", told);
        checkout.solve("add", ADD_SOLVED);
        running.await_words("4 of 4 tests pass", told);
        running.signal(Signal::SIGINT);
        running.end().expect(130, &["stopped"]);
    }
}

/// As by a program that writes down what it does: the folder is never silent.
#[test]
fn a_folder_in_which_something_is_written_all_the_time_is_watched_too() {
    let checkout = Checkout::new();
    let running = checkout.start(checkout.command(&["watch", "add"]));
    let told = running.await_words("Save a file; Ctrl-C ends.", 0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // However it ends, the writer must, or the scope would wait for it.
        let _done = SetOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                checkout.write("crates/toy/exercises/notes.txt", "a note");
                thread::yield_now();
            }
        });
        checkout.solve("add", ADD_SOLVED);
        let told = running.await_words("toy/add was saved", told);
        running.await_words("4 of 4 tests pass", told);
        running.signal(Signal::SIGINT);
        running.end().expect(130, &["stopped"]);
    });
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As readers have it who keep what they write in a repository of their own.
#[test]
fn a_save_of_a_file_to_which_a_link_leads_is_seen() {
    for args in [&["watch", "add"][..], &["watch", "add", "--poll"]] {
        let checkout = Checkout::new();
        let [mine, link] = [checkout.home().join("mine.rs"), checkout.path("crates/toy/exercises/add.rs")];
        fs::rename(&link, &mine).and_then(|()| symlink(&mine, &link)).expect("a link");
        let running = checkout.start(checkout.command(args));
        let told = running.await_words("Save a file; Ctrl-C ends.", 0);
        fs::write(&mine, ADD_SOLVED).expect("a file");
        let told = running.await_words("toy/add was saved", told);
        running.await_words("4 of 4 tests pass", told);
        running.signal(Signal::SIGINT);
        running.end().expect(130, &["stopped"]);
    }
}

#[test]
fn a_bad_name_is_refused() {
    Checkout::new().workbook(&["watch", "addd"]).expect(2, &["Did you mean `add`?"]);
}
