//! Every system call of every operation fails: a part of the faults in each run of the tests, and all of them in
//! `just faults`.

use std::collections::BTreeMap;
use std::fs;

use faults::documented::{LEFT_OUT, errnos, lasting};
use faults::{FALLBACKS, Fault, Operation, Place, trial};

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    let [name, faults @ ..] = args else { return 2 };
    let Some(operation) = Operation::all().into_iter().find(|operation| operation.name == *name) else {
        return 2;
    };
    trial::answer(name, faults, || operation.run())
}

/// One errno of each place, another one in the next place; and where a call comes first, one that lasts. Of a call that
/// comes many times in a row, a few.
fn some(place: &Place) -> Vec<Fault> {
    let Place { task, call, nth } = place;
    let all = errnos(call);
    if all.is_empty() || *nth > 4 && *nth % 16 != 0 {
        return vec![];
    }
    let fault = |errno, lasting| Fault { place: place.clone(), errno, lasting };
    let mut some = vec![fault(all[(nth * 5 + task * 3) % all.len()], false)];
    if let Some(errno) = lasting(call).last().filter(|_| *nth == 1) {
        some.push(fault(*errno, true));
    }
    some
}

/// Each call of the operations that `chosen` wants gives an error that names the errno, or takes a documented way out.
#[track_caller]
fn try_some(chosen: impl Fn(&str) -> bool) {
    let (mut tried, mut unexplained) = (0, Vec::new());
    for operation in Operation::all().into_iter().filter(|operation| chosen(&operation.name)) {
        let Some(tallies) = trial::of(&operation, some) else { return };
        for tally in tallies.into_values() {
            tried += tally.faults;
            unexplained.extend(tally.unexplained);
        }
    }
    assert!(tried > 20, "only {tried} calls failed: are these the right operations?");
    assert!(
        unexplained.is_empty(),
        "a system call failed, and the answer was neither an error that names the errno nor a way out that \
         fallbacks.rs knows (or it left or lost something):\n{}",
        unexplained.join("\n")
    );
}

#[test]
fn a_loop_on_epoll_answers_each_fault() {
    try_some(|name| name.starts_with("ioloop") && name.ends_with("epoll"));
}

#[test]
fn a_loop_on_poll_answers_each_fault() {
    try_some(|name| name.starts_with("ioloop") && name.ends_with("on poll"));
}

#[test]
fn a_loop_on_select_answers_each_fault() {
    try_some(|name| name.starts_with("ioloop") && name.ends_with("select"));
}

#[test]
fn a_supervisor_answers_each_fault() {
    try_some(|name| name.starts_with("prefork: supervise"));
}

#[test]
fn an_http_server_answers_each_fault() {
    try_some(|name| name.starts_with("httpserver"));
}

#[test]
fn whatever_has_no_loop_answers_each_fault() {
    let others = ["ioloop", "httpserver", "prefork: supervise"];
    try_some(|name| !others.iter().any(|other| name.starts_with(other)));
}

#[test]
fn the_page_of_promises_lists_every_fallback() {
    let page = "../../book/src/appendix/promises.md";
    let page = fs::read_to_string(page).expect("the appendix has the page");
    let missing: Vec<_> = FALLBACKS.iter().filter(|fallback| !page.contains(fallback.name)).collect();
    assert!(missing.is_empty(), "appendix/promises.md has no row for {missing:#?}");
}

/// `just faults`: every fault of every place, and a table.
#[test]
#[ignore = "takes two minutes: just faults"]
fn all_faults() {
    let (mut totals, mut fallbacks, mut unexplained) = ([0; 5], BTreeMap::new(), Vec::new());
    println!("\n{:46} {:24} places errnos  runs errors fallbacks", "operation", "system call");
    for operation in Operation::all() {
        let Some(tallies) = trial::of(&operation, Fault::of) else { return };
        for (call, tally) in tallies.iter().filter(|(call, _)| !errnos(call).is_empty()) {
            let ways: usize = tally.fallbacks.values().sum();
            let counts = [tally.places, errnos(call).len(), tally.faults, tally.errors, ways];
            let [places, kinds, faults, errors, ways] = counts;
            println!(
                "{:46} {call:24} {places:6} {kinds:6} {faults:5} {errors:6} {ways:9}{}",
                operation.name,
                if tally.unexplained.is_empty() { "" } else { "  UNEXPLAINED" }
            );
            for (total, count) in totals.iter_mut().zip([places, faults, errors, ways, tally.missed]) {
                *total += count;
            }
        }
        for tally in tallies.into_values() {
            unexplained.extend(tally.unexplained);
            for (name, count) in tally.fallbacks {
                *fallbacks.entry(name).or_insert(0) += count;
            }
        }
    }
    println!("\nfallbacks:");
    for (name, count) in fallbacks {
        println!("{count:6} {name}");
    }
    println!("\nleft out:");
    for (calls, why) in LEFT_OUT {
        println!("  {}: {why}", calls.join(", "));
    }
    let [places, faults, errors, ways, missed] = totals;
    println!(
        "\n{places} places, {faults} faults: {errors} errors that name the errno, {ways} fallbacks, {} unexplained. \
         ({missed} more did not come, because that run did not get so far.)",
        unexplained.len()
    );
    assert!(unexplained.is_empty(), "unexplained:\n{}", unexplained.join("\n"));
}
