//! Which part of a file a Range field selects: http.md's kind 17, and the rows of Tornado's `StaticFileTest`.

use httpserver::range::Selection::{Part, Unsatisfiable, Whole};
use httpserver::range::{Selection, select};

testing::begin!();

/// The length of the file that Tornado's tests ask for.
const LENGTH: u64 = 26;

#[track_caller]
fn selects(rows: &[(&str, Selection)]) {
    for (field, selection) in rows {
        assert_eq!(select(field.as_bytes(), LENGTH), *selection, "Range: {field}, of {LENGTH} bytes");
    }
}

fn part(offset: u64, length: u64) -> Selection {
    Part { offset, length }
}

#[test]
fn a_range_with_both_ends_selects_a_part() {
    selects(&[
        ("bytes=0-9", part(0, 10)),
        ("bytes=0-0", part(0, 1)),
        ("bytes=5-5", part(5, 1)),
        ("bytes=25-25", part(25, 1)),
        ("bytes=1-25", part(1, 25)),
        ("BYTES=0-9", part(0, 10)),
        ("bytes= 0-9", part(0, 10)),
    ]);
}

#[test]
fn a_range_that_is_the_whole_file_is_no_part() {
    selects(&[("bytes=0-", Whole), ("bytes=0-25", Whole), ("bytes=-26", Whole), ("bytes=0-10000000", Whole)]);
}

#[test]
fn a_range_without_a_last_position_goes_to_the_end() {
    selects(&[("bytes=22-", part(22, 4)), ("bytes=25-", part(25, 1)), ("bytes=1-", part(1, 25))]);
}

#[test]
fn a_suffix_selects_the_last_bytes() {
    selects(&[("bytes=-4", part(22, 4)), ("bytes=-1", part(25, 1)), ("bytes=-25", part(1, 25))]);
}

#[test]
fn what_lies_past_the_end_is_left_out() {
    selects(&[
        ("bytes=1-10000000", part(1, 25)),
        ("bytes=25-26", part(25, 1)),
        ("bytes=20-26", part(20, 6)),
        ("bytes=-27", Whole),
        ("bytes=-1000000", Whole),
    ]);
}

#[test]
fn a_first_position_past_the_end_is_unsatisfiable() {
    selects(&[
        ("bytes=26-", Unsatisfiable),
        ("bytes=26-30", Unsatisfiable),
        ("bytes=999999-", Unsatisfiable),
    ]);
}

#[test]
fn a_suffix_of_no_bytes_is_unsatisfiable() {
    selects(&[("bytes=-0", Unsatisfiable), ("bytes=-00", Unsatisfiable)]);
}

#[test]
fn a_number_alone_is_rejected() {
    selects(&[("bytes=26", Unsatisfiable), ("bytes=0", Unsatisfiable)]);
}

#[test]
fn numbers_that_do_not_fit_are_clamped() {
    let huge = "9".repeat(400);
    selects(&[
        ("bytes=0-18446744073709551615", Whole),
        ("bytes=1-18446744073709551616", part(1, 25)),
        ("bytes=18446744073709551615-", Unsatisfiable),
        ("bytes=18446744073709551616-18446744073709551617", Unsatisfiable),
        ("bytes=-18446744073709551616", Whole),
        (&format!("bytes=1-{huge}"), part(1, 25)),
        (&format!("bytes={huge}-"), Unsatisfiable),
        (&format!("bytes=-{huge}"), Whole),
    ]);
    assert_eq!(select(b"bytes=18446744073709551614-", u64::MAX), part(u64::MAX - 1, 1));
    assert_eq!(select(b"bytes=-18446744073709551614", u64::MAX), part(1, u64::MAX - 1));
}

#[test]
fn what_cannot_be_parsed_is_ignored() {
    for field in [
        "",
        "asdf",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=a-",
        "bytes=--4",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=1-2-3",
        "bytes=0x1-2",
        "bytes=1_0-12",
        "bytes=1 - 2",
        "bytes=9-5",
        "bytes 0-9",
        "bytes=\u{661}-2",
        "bytes:0-9",
    ] {
        selects(&[(field, Whole)]);
    }
    assert_eq!(select(b"bytes=\xff-", LENGTH), Whole);
}

#[test]
fn an_unknown_unit_is_ignored() {
    selects(&[("lines=1-2", Whole), ("items=0-5", Whole), ("octets=0-5", Whole)]);
}

#[test]
fn several_ranges_are_ignored() {
    selects(&[
        ("bytes=0-1,5-6", Whole),
        ("bytes=0-1, -1", Whole),
        ("bytes=0-,0-,0-", Whole),
        ("bytes=,0-1", Whole),
    ]);
    let overlapping = format!("bytes={}", vec!["0-"; 1000].join(","));
    selects(&[(&overlapping, Whole)]);
}

#[test]
fn every_range_of_an_empty_file_is_ignored() {
    for field in ["bytes=0-", "bytes=0-0", "bytes=-5", "bytes=-0", "bytes=5-", "bytes=0"] {
        assert_eq!(select(field.as_bytes(), 0), Whole, "Range: {field}, of an empty file");
    }
}

#[test]
fn a_part_lies_within_the_file_whatever_the_field() {
    arbtest::arbtest(|random| {
        const PARTS: &[&str] = &[
            "-",
            ",",
            " ",
            "0",
            "1",
            "9",
            "26",
            "18446744073709551615",
            "18446744073709551616",
            "a",
            "+",
            "bytes=",
        ];
        let mut field = String::from("bytes=");
        for _ in 0..random.int_in_range(0..=5)? {
            field += random.choose(PARTS)?;
        }
        let length = *random.choose(&[0, 1, 2, 26, u64::MAX])?;
        if let Part { offset, length: selected } = select(field.as_bytes(), length) {
            assert!(selected > 0, "Range: {field} selects nothing of {length} bytes");
            let end = offset.checked_add(selected);
            assert!(
                end.is_some_and(|end| end <= length),
                "Range: {field} of {length}: {offset} + {selected}"
            );
            assert!(selected < length, "Range: {field} selects all of {length} bytes as a part");
        }
        Ok(())
    });
}
