//! The corpus of the fuzz target, without a fuzzer: each input gets the same answer however it is split.

mod support;

use std::fs;

use httpserver::Limits;
use support::talk::{echo, talk_with};

testing::begin!();

#[test]
fn each_input_of_the_fuzz_corpus_has_one_answer() {
    let folder = "fuzz/corpus/connection";
    let limits =
        Limits { head: 512, target: 128, fields: 8, body: 64, chunk_overhead: 64, ..Limits::default() };
    let mut statuses = [0; 6];
    for entry in fs::read_dir(folder).expect("the corpus") {
        let bytes = fs::read(entry.expect("a file").path()).expect("an input");
        // The first two bytes choose a split in the fuzz target.
        let seen = talk_with(bytes.get(2..).unwrap_or_default(), &limits, &echo);
        for part in seen.out.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"HTTP/1.1 ")) {
            statuses[usize::from(part[9] - b'0').min(5)] += 1;
        }
    }
    assert!(
        statuses[2] >= 10 && statuses[4] >= 10,
        "the corpus has both, what is accepted and what is not: {statuses:?}"
    );
}
