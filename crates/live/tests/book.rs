//! The book is built beside the server, and built anew when a page or what it includes changes.

use std::fs;

use serde_json::{Value, json};
use support::{Answer, Server};

mod support;

/// A server that builds a book of two pages, one of which includes a file of a crate.
fn server() -> Server {
    Server::start_with(|folder| {
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
    })
}

/// Save a file in one step, as editors do: one that is empty for a moment could be built so.
fn save(server: &Server, path: &str, text: &str) {
    let beside = server.path("saved");
    fs::write(&beside, text).and_then(|()| fs::rename(beside, server.path(path))).expect("it is written");
}

fn get(server: &Server, path: &str) -> (String, String) {
    let host = format!("127.0.0.1:{}", server.port);
    let mut answer = server.ask("GET", path, &[("Host", &host)], "");
    assert_eq!(answer.status, 200, "{path}");
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
fn a_page_may_run_the_scripts_that_mdbook_wrote_and_no_others() {
    let server = server();
    let (policy, html) = get(&server, "/one.html");
    assert!(html.contains("<script>"), "mdBook writes scripts into its pages");
    assert!(policy.contains("'sha256-"), "{policy}");
    assert!(!policy.contains("script-src 'self' 'unsafe") && !policy.contains("'unsafe-eval'"), "{policy}");
    assert_ne!(get(&server, "/404.html").0, "", "the page of what is not found has a policy");
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
