//! `run`: asking the kernel, and comparing with the book.

use serde_json::json;

use crate::checkout::Checkout;

/// It is silent for ten seconds, and the others run meanwhile: this module's name comes first.
#[test]
fn an_experiment_that_hangs_disagrees() {
    let checkout = Checkout::new();
    let hang = "std::process::Command::new(\"sleep\").arg(\"5000\").status().unwrap();";
    checkout.experiment("02-doubles", "hangs", hang);
    let json = checkout.workbook(&["run", "hangs", "--json"]).expect(1, &[]).json();
    assert_eq!((&json[0]["name"], &json[0]["verdict"]), (&json!("hangs"), &json!("disagrees")));
    let reason = json[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("nothing happened for 10 s") && reason.contains("(sleep)"), "{reason}");
}

#[test]
fn a_report_becomes_a_verdict_and_a_status() {
    let checkout = Checkout::new();
    let ran =
        |name, verdict, reason: Option<&str>| json!([{ "name": name, "verdict": verdict, "reason": reason }]);
    let agrees = checkout.workbook(&["run", "fd-vanishes", "--json"]);
    assert_eq!(agrees.expect(0, &[]).json(), ran("fd-vanishes", "agrees", None));
    let disagrees = checkout.workbook(&["run", "disputed", "--json"]);
    assert_eq!(disagrees.expect(1, &[]).json(), ran("disputed", "disagrees", Some("it saw 5")));
    let skipped = checkout.workbook(&["run", "not-here", "--json"]);
    assert_eq!(skipped.expect(0, &[]).json(), ran("not-here", "skipped", Some("no such call")));
    let all = checkout.workbook(&["run", "--all", "--json"]).expect(1, &[]).json();
    let (one, two) = (agrees.json()[0].clone(), disagrees.json()[0].clone());
    assert_eq!(all, json!([one, two, skipped.json()[0]]));
    let said = checkout.workbook(&["run", "--all"]);
    said.expect(1, &["fd-vanishes", "agrees", "disagrees: it saw 5", "skipped: no such call"])
        .without(&["What was"]);
}

#[test]
fn in_front_of_the_reader_it_prints_what_it_prints() {
    let checkout = Checkout::new();
    checkout.workbook(&["run", "fd-vanishes"]).expect(0, &["What was seen: fd-vanishes agrees"]);
    checkout.workbook(&["run", "fd-vanishes", "--plain"]).expect(0, &["What was seen: fd-vanishes agrees"]);
    checkout.workbook(&["run", "disputed"]).expect(1, &["What was seen: disputed disagrees"]);
    checkout.workbook(&["run", "not-here"]).expect(0, &["What was seen: not-here skipped"]);
    checkout
        .workbook(&["run", "not-here", "disputed"])
        .expect(1, &["not-here skipped", "disputed disagrees"]);
}

#[test]
fn a_report_counts_only_with_the_end_that_belongs_to_it() {
    let checkout = Checkout::new();
    let report = |verdict: &str| {
        format!("println!(\"{{{{\\\"verdict\\\": \\\"{verdict}\\\", \\\"reason\\\": null}}}}\");")
    };
    let cases = [
        ("dies-later", report("agrees") + "std::process::abort();", "says agrees, but: killed by SIGABRT"),
        ("fails-later", report("agrees") + "std::process::exit(1);", "says agrees, but: exit status: 1"),
        ("no-verdict", "println!(\"{{}}\");".to_owned(), "says nothing, but: exit status: 0"),
        ("no-report", "eprintln!(\"no thanks\");".to_owned(), "no report: exit status: 0 no thanks"),
        ("panics", "panic!(\"so be it\");".to_owned(), "so be it"),
        ("no-reason", report("disagrees") + "std::process::exit(1);", "it gave no reason"),
    ];
    for (name, code, _) in &cases {
        checkout.experiment("02-doubles", name, code);
    }
    let brace = "eprintln!(\"Os {{ code: 9 }}\\n{{ no report\");";
    let warned =
        format!("eprintln!(\"a warning\"); {brace} {} eprintln!(\"and another\");", report("agrees"));
    checkout.experiment("02-doubles", "warns", &warned);
    let json = checkout.workbook(&["run", "--all", "--json"]).expect(1, &[]).json();
    let of = |name: &str| json.as_array().and_then(|all| all.iter().find(|one| one["name"] == name).cloned());
    for (name, _, reason) in cases {
        let ran = of(name).unwrap_or_else(|| panic!("no {name} in {json}"));
        assert_eq!(ran["verdict"], "disagrees", "{ran}");
        assert!(ran["reason"].as_str().is_some_and(|said| said.contains(reason)), "no «{reason}» in {ran}");
    }
    assert_eq!(of("warns").expect("it ran")["verdict"], "agrees");
}

#[test]
fn bad_words_are_refused() {
    let checkout = Checkout::new();
    checkout
        .workbook(&["run", "fd-vanish"])
        .expect(2, &["no experiment is called `fd-vanish`", "`fd-vanishes`?"]);
    checkout.workbook(&["run", "xyz"]).expect(2, &["no experiment is called `xyz`", "list"]);
    checkout.workbook(&["run", "add"]).expect(2, &["It is an exercise", "check add"]);
    checkout.workbook(&["run"]).expect(2, &["Usage"]);
    checkout.workbook(&["run", "--all", "disputed"]).expect(2, &["cannot be used with"]);
}

#[test]
fn experiments_that_do_not_compile_are_said_to() {
    let checkout = Checkout::new();
    checkout.experiment("02-doubles", "broken", "let x: i32 = \"three\";");
    let said = checkout.workbook(&["run", "broken", "--json"]);
    said.expect(1, &["the experiments do not compile", "E0308"]);
    assert_eq!(said.stdout, "");
    checkout.workbook(&["run", "disputed"]).expect(1, &["What was seen"]);
}
