//! Conditional requests: http.md's kind 18, and the rows of Tornado's `StaticFileTest`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpserver::conditional::Decision::{NotModified, PreconditionFailed};
use httpserver::conditional::{Decision, decide};

testing::begin!();

const TAG: &str = "\"18c-1a-2f\"";

const SEND: Decision = Decision::Send { range: true };
const SEND_ALL: Decision = Decision::Send { range: false };

/// A date with this many seconds more than the file's.
fn date(seconds: i64) -> String {
    let base = i64::try_from(modified().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(u64::try_from(base + seconds).unwrap()))
}

/// When the file was modified: three quarters of a second past a whole one.
fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_700_000_000, 750_000_000)
}

#[track_caller]
fn decides(fields: &[(&str, &str)], expected: Decision) {
    let given = fields.iter().map(|&(name, value)| (name, value.as_bytes()));
    assert_eq!(decide(given, TAG, modified()), expected, "{fields:?}");
}

/// Each value in a field of its own request.
#[track_caller]
fn each(name: &str, values: &[&str], expected: Decision) {
    for value in values {
        decides(&[(name, value)], expected);
    }
}

#[test]
fn without_conditions_the_file_is_sent() {
    decides(&[], SEND);
    decides(&[("Host", "h"), ("Range", "bytes=0-1"), ("If", "x"), ("If-Other", "\"18c-1a-2f\"")], SEND);
}

#[test]
fn the_same_entity_tag_is_not_modified() {
    each("If-None-Match", &[TAG, "W/\"18c-1a-2f\"", " \"18c-1a-2f\" "], NotModified);
    each("if-none-match", &[TAG], NotModified);
}

#[test]
fn another_entity_tag_is_sent() {
    each("If-None-Match", &["\"x\"", "W/\"x\"", "\"\"", "\"18C-1A-2F\""], SEND);
}

#[test]
fn a_wildcard_matches_every_entity_tag() {
    each("If-None-Match", &["*", " * "], NotModified);
    each("If-Match", &["*"], SEND);
}

#[test]
fn a_list_of_entity_tags_matches_if_one_of_them_does() {
    let lists = [
        "\"a\", \"18c-1a-2f\"",
        "\"18c-1a-2f\",\"a\"",
        "W/\"a\" , W/\"18c-1a-2f\"",
        ",, \"18c-1a-2f\"",
        "\"a,b\",\"18c-1a-2f\"",
    ];
    each("If-None-Match", &lists, NotModified);
    each("If-None-Match", &["\"a\", \"b\"", "\"a\",", ","], SEND);
    decides(&[("If-None-Match", "\"a\""), ("If-None-Match", TAG)], NotModified);
    // One tag whose text is a comma between quotes is not two.
    each("If-None-Match", &["\"18c-1a-2f,\"", "\",18c-1a-2f\""], SEND);
}

#[test]
fn what_is_no_entity_tag_matches_nothing() {
    each(
        "If-None-Match",
        &["18c-1a-2f", "\"18c-1a-2f", "w/\"18c-1a-2f\"", "W/18c-1a-2f", "W/", "\"", "", "x, \"18c-1a-2f\""],
        SEND,
    );
    let given = [("If-None-Match", &b"\"\xff\", \"18c-1a-2f\""[..])];
    assert_eq!(decide(given.into_iter(), TAG, modified()), NotModified);
}

#[test]
fn a_file_not_modified_since_the_date_is_not_sent() {
    each("If-Modified-Since", &[&date(0), &date(1), &date(100_000)], NotModified);
}

#[test]
fn a_file_modified_since_the_date_is_sent() {
    each("If-Modified-Since", &[&date(-1), &date(-100_000)], SEND);
}

#[test]
fn dates_are_in_greenwich_whatever_the_time_zone_here() {
    // An hour too early or too late would be a wrong time zone.
    each("If-Modified-Since", &[&date(-3599), &date(-1)], SEND);
    each("If-Modified-Since", &[&date(0), &date(3599)], NotModified);
}

#[test]
fn the_three_formats_of_a_date_are_understood() {
    // 2023-11-14 22:13:20 is the whole second of the file's time.
    let formats =
        ["Tue, 14 Nov 2023 22:13:20 GMT", "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023"];
    each("If-Modified-Since", &formats, NotModified);
}

#[test]
fn a_date_that_cannot_be_parsed_is_no_condition() {
    let dates = [
        "",
        "yesterday",
        "0",
        "-1",
        "Mon, 14 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:20 UTC",
        "Tue, 14 Nov 2023 22:13:60 GMT",
        "Tue, 31 Feb 2023 22:13:20 GMT",
        "Thu, 01 Jan 1960 00:00:00 GMT",
        "2023-11-14T22:13:20Z",
        "Tue, 14 Nov 2023 22:13:20 GMT; length=5",
    ];
    each("If-Modified-Since", &dates, SEND);
    each("If-Unmodified-Since", &dates, SEND);
    assert_eq!(decide([("If-Modified-Since", &b"\xff"[..])].into_iter(), TAG, modified()), SEND);
    // Two dates: which one would count?
    decides(&[("If-Modified-Since", &date(1)), ("If-Modified-Since", &date(1))], SEND);
}

#[test]
fn a_file_older_than_1970_has_a_date_too() {
    let old = UNIX_EPOCH - Duration::from_millis(1);
    let epoch = [("If-Modified-Since", &b"Thu, 01 Jan 1970 00:00:00 GMT"[..])];
    assert_eq!(decide(epoch.into_iter(), TAG, old), NotModified);
}

#[test]
fn an_entity_tag_decides_whatever_the_date_says() {
    decides(&[("If-None-Match", "\"x\""), ("If-Modified-Since", &date(1))], SEND);
    decides(&[("If-Modified-Since", &date(1)), ("If-None-Match", "\"x\"")], SEND);
    decides(&[("If-None-Match", TAG), ("If-Modified-Since", &date(-1))], NotModified);
    decides(&[("If-Match", TAG), ("If-Unmodified-Since", &date(-1))], SEND);
    decides(&[("If-Match", "\"x\""), ("If-Unmodified-Since", &date(1))], PreconditionFailed);
}

#[test]
fn if_match_needs_this_very_file() {
    each("If-Match", &[TAG, "\"a\", \"18c-1a-2f\""], SEND);
    each("If-Match", &["\"x\"", "W/\"18c-1a-2f\"", "", "18c-1a-2f"], PreconditionFailed);
}

#[test]
fn if_unmodified_since_needs_a_file_that_old() {
    each("If-Unmodified-Since", &[&date(0), &date(1)], SEND);
    each("If-Unmodified-Since", &[&date(-1)], PreconditionFailed);
}

#[test]
fn a_failed_precondition_comes_before_a_file_that_is_not_modified() {
    decides(&[("If-None-Match", TAG), ("If-Match", "\"x\"")], PreconditionFailed);
    decides(&[("If-Match", TAG), ("If-None-Match", TAG)], NotModified);
}

#[test]
fn if_range_needs_the_same_strong_entity_tag() {
    each("If-Range", &[TAG, " \"18c-1a-2f\""], SEND);
    each("If-Range", &["\"x\"", "W/\"18c-1a-2f\"", "*", "", "\"a\", \"18c-1a-2f\""], SEND_ALL);
    decides(&[("If-Range", TAG), ("If-Range", "\"x\"")], SEND_ALL);
}

#[test]
fn a_date_in_if_range_matches_no_file() {
    // The file may have been written twice in that second.
    each("If-Range", &[&date(0), &date(1), &date(-1)], SEND_ALL);
}
