//! The book is built beside the server, and built anew when a page or what it includes changes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Answer, Server};

mod support;

/// A server that builds a book of two pages, one of which includes a file of a crate.
fn server() -> Server {
    Server::start_with(book, |_| ())
}

fn book(folder: &Path) {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, text).expect("a file");
    };
    write("book/book.toml", "[book]\ntitle = \"Toy\"\n");
    write("book/src/SUMMARY.md", "# Summary\n\n- [One](one.md)\n- [Two](two.md)\n");
    write("book/src/one.md", "# One\n\nA sentence.\n");
    write("book/src/two.md", "# Two\n\n```rust\n{{#include ../../crates/toy/src/lib.rs}}\n```\n");
    write("crates/toy/src/lib.rs", "pub fn before() {}\n");
    write("crates/toy/src/other.rs", "");
    write("crates/toy/exercises/add.rs", "todo!()");
    write("experiments/Cargo.toml", "");
}

/// Save a file in one step, as editors do: one that is empty for a moment could be built so.
fn save(server: &Server, path: &str, text: &str) {
    let beside = server.path("saved");
    fs::write(&beside, text).and_then(|()| fs::rename(beside, server.path(path))).expect("it is written");
}

fn ask(server: &Server, path: &str) -> Answer {
    let host = format!("127.0.0.1:{}", server.port);
    let answer = server.ask("GET", path, &[("Host", &host)], "");
    assert_eq!(answer.status, 200, "{path}");
    answer
}

fn get(server: &Server, path: &str) -> (String, String) {
    let mut answer = ask(server, path);
    (answer.field("Content-Security-Policy").expect("a policy").to_owned(), answer.rest())
}

fn listen(server: &Server) -> Answer {
    let mut events = server.post("/api/events", "{}");
    assert_eq!(events.event().expect("a first event")["kind"], "hello");
    events
}

/// The next event that is about the book or an exercise.
fn next(events: &mut Answer) -> Value {
    let about = |event: &Value| event["kind"] == "reload" || event["kind"] == "saved";
    std::iter::from_fn(|| events.event()).find(about).expect("an event")
}

#[test]
fn a_change_reloads_the_pages_that_it_concerns_and_no_others() {
    let server = server();
    assert!(get(&server, "/one.html").1.contains("A sentence."));
    let mut events = listen(&server);
    save(&server, "book/src/one.md", "# One\n\nAnother sentence.\n");
    let reload = next(&mut events);
    // The printed book and the first page, which is the index, have it too.
    assert_eq!(reload["pages"], json!(["index", "one", "print"]), "{reload}");
    assert!(get(&server, "/one.html").1.contains("Another sentence."));
    // Not included anywhere, so the next event is not about it.
    save(&server, "crates/toy/src/other.rs", "// changed\n");
    save(&server, "crates/toy/exercises/add.rs", "a + b\n");
    assert_eq!(next(&mut events), json!({ "kind": "saved", "exercise": "toy/add" }));
    save(&server, "crates/toy/src/lib.rs", "pub fn after() {}\n");
    assert_eq!(next(&mut events)["pages"], json!(["print", "two"]));
    assert!(get(&server, "/two.html").1.contains("after"));
}

#[test]
fn a_client_that_was_away_learns_which_pages_have_changed_meanwhile() {
    let server = server();
    let hello = || server.post("/api/events", "{}").event().expect("a first event");
    assert_eq!((hello()["changed"].clone(), server.progress()["build"].clone()), (json!({}), json!(1)));
    let mut events = listen(&server);
    save(&server, "book/src/one.md", "# One\n\nAnother sentence.\n");
    assert_eq!(next(&mut events)["kind"], "reload");
    // Only a page that was loaded in the first build is out of date.
    assert_eq!(hello()["changed"], json!({ "index": 2, "one": 2, "print": 2 }));
    assert_eq!(server.progress()["build"], 2);
}

#[test]
fn a_check_in_a_terminal_changes_the_progress() {
    let server = server();
    let mut events = listen(&server);
    support::list(server.folder.path(), false);
    // The tool writes its verdicts below the target folder, which `cargo clean` has just removed, say.
    fs::create_dir(server.path("target")).expect("a folder");
    save(&server, "target/verdicts.json", "{}");
    let about = |event: &Value| event["kind"] == "progress";
    std::iter::from_fn(|| events.event()).find(about).expect("an event when the tool has judged an exercise");
    assert_eq!(server.progress()["exercises"]["toy/add"]["passes"], false);
}

#[test]
fn the_files_of_a_folder_that_is_replaced_were_saved() {
    let server = server();
    let mut events = listen(&server);
    let mut saved = |exercise: &str| {
        let event = json!({ "kind": "saved", "exercise": exercise });
        std::iter::from_fn(|| events.event()).any(|seen| seen == event)
    };
    // As a change of branches does. The outermost folder has no watch above it.
    for (folder, file) in [("crates/toy/exercises", "first.rs"), ("crates", "toy/exercises/second.rs")] {
        let copy = server.path("copy");
        let copied = Command::new("cp").arg("-r").args([&server.path(folder), &copy]).status();
        assert!(copied.expect("cp runs").success());
        fs::write(copy.join(file), "todo!()").expect("a file");
        fs::rename(server.path(folder), server.path("before")).expect("the folder is moved");
        fs::rename(copy, server.path(folder)).expect("the copy is moved");
        fs::remove_dir_all(server.path("before")).expect("the folder is removed");
        let name = file.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).expect("a name");
        assert!(saved(&format!("toy/{name}")), "{folder} was replaced, and {file} is new in it");
    }
    save(&server, "crates/toy/exercises/third.rs", "todo!()");
    assert!(saved("toy/third"), "the folder that is there now is watched");
}

/// As when an editor has taken all of the inotify instances that a user has.
#[test]
fn a_checkout_that_cannot_be_watched_is_built_once() {
    let forbid = "echo 0 > /proc/sys/user/max_inotify_instances";
    let unshare = |script: &str| Command::new("unshare").args(["-Ur", "sh", "-c", script]).status();
    if !unshare(forbid).is_ok_and(|status| status.success()) {
        testing::skip!("this process may not make a user namespace, in which inotify can be forbidden");
    }
    let inside = format!("exec unshare -Ur /bin/sh -c '{forbid}; exec \"$0\" \"$@\"' \"$0\" \"$@\"");
    let server = Server::start_with(book, |command| support::after(&inside, command));
    assert!(get(&server, "/one.html").1.contains("A sentence."));
    // Verdicts need no watch.
    let mut events = listen(&server);
    fs::create_dir(server.path("target")).expect("a folder");
    save(&server, "target/verdicts.json", "{}");
    assert!(std::iter::from_fn(|| events.event()).any(|event| event["kind"] == "progress"));
}

#[test]
fn two_servers_of_a_checkout_build_in_two_folders() {
    let first = server();
    let tag = || ask(&first, "/one.html").field("ETag").expect("a tag").to_owned();
    let before = tag();
    let second = first.beside(&[]);
    assert!(get(&second, "/one.html").1.contains("A sentence."));
    assert_eq!(tag(), before, "the second server has written into the folder that the first one serves");
}

#[test]
fn a_page_may_run_the_scripts_that_mdbook_wrote_and_no_others() {
    let server = server();
    let (policy, html) = get(&server, "/one.html");
    assert!(html.contains("<script>"), "mdBook writes scripts into its pages");
    assert!(policy.contains("'sha256-"), "{policy}");
    assert!(!policy.contains("script-src 'self' 'unsafe") && !policy.contains("'unsafe-eval'"), "{policy}");
    assert_ne!(get(&server, "/404.html").0, "", "the page of what is not found has a policy");
}

#[test]
fn the_page_for_what_is_not_found_may_say_where_the_book_begins() {
    let server = server();
    let host = format!("127.0.0.1:{}", server.port);
    let mut answer = server.ask("GET", "/one/two/nothing.html", &[("Host", &host)], "");
    assert_eq!(answer.status, 404);
    let policy = answer.field("Content-Security-Policy").expect("a policy").to_owned();
    assert!(answer.rest().contains("<base href=\"/\">"), "mdBook names the book's root in this page");
    assert!(
        policy.contains("base-uri 'self'"),
        "the browser ignores that, and looks for styles and scripts below /one/two: {policy}"
    );
    assert!(get(&server, "/one.html").0.contains("base-uri 'none'"), "no other page has such an element");
}

#[test]
fn a_book_that_cannot_be_built_is_served_as_it_was() {
    let server = server();
    let mut events = listen(&server);
    save(&server, "book/src/SUMMARY.md", "# Summary\n\n- [One](gone/../../nothing.md\n");
    save(&server, "crates/toy/exercises/add.rs", "a + b\n");
    assert_eq!(next(&mut events)["kind"], "saved");
    assert!(get(&server, "/one.html").1.contains("A sentence."));
    save(&server, "book/src/SUMMARY.md", "# Summary\n\n- [Three](one.md)\n");
    assert_eq!(next(&mut events)["kind"], "reload", "it is built again once it can be");
    assert!(get(&server, "/one.html").1.contains("Three"));
}
