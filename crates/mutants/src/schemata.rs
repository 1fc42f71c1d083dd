//! Many answers in one source, of which the environment switches one on: mutant schemata.
//!
//! An answer that differs from the reference only in what its functions do becomes an arm of each of those functions:
//! `fn f() { match testing::answer() { 3 => { … } _ => { … } } }`, where the last arm is the reference's. So one run of rustc
//! compiles them all. Imports, constants and functions that only the answer has stand in its arms. An answer with other types,
//! statics or methods is left out, and so is one with another constant that stands where no arm can be.

use anyhow::Result;
use serde::Serialize;

use crate::parts::Parts;

/// The source of them all.
#[derive(Debug, Serialize)]
pub struct Schemata {
    pub source: String,
    /// In the order of the source.
    pub arms: Vec<Arm>,
}

/// What an answer does in one function: bytes of the source.
#[derive(Debug, Serialize)]
pub struct Arm {
    /// The answer's place in the list, from 1: the number that switches it on.
    pub answer: usize,
    pub start: usize,
    pub end: usize,
}

/// Put these answers into one source with the reference.
///
/// # Errors
/// When the reference is not Rust.
pub fn schemata(reference: &str, answers: &[String]) -> Result<Schemata> {
    let reference = Parts::of(reference)?;
    let answers: Vec<Option<Parts<'_>>> = answers
        .iter()
        .map(|answer| Parts::of(answer).ok().filter(|answer| answer.fits(&reference)))
        .collect();
    let mut schemata = Schemata { source: String::new(), arms: Vec::new() };
    let mut copied = 0;
    for function in &reference.functions {
        let mut arms = answers.iter().enumerate().filter_map(|(number, answer)| {
            let answer = answer.as_ref()?;
            Some((number + 1, answer.arm(function, &reference)?))
        });
        let Some(first) = arms.next() else { continue };
        schemata.source += &reference.source[copied..function.body.start];
        schemata.source += "{ match ::testing::answer() {\n";
        for (answer, arm) in [first].into_iter().chain(arms) {
            schemata.source += &format!("{answer} => ");
            let start = schemata.source.len();
            schemata.source += &arm;
            schemata.arms.push(Arm { answer, start, end: schemata.source.len() });
            schemata.source += "\n";
        }
        schemata.source += &format!("_ => {}\n}} }}", &reference.source[function.body.clone()]);
        copied = function.body.end;
    }
    schemata.source += &reference.source[copied..];
    Ok(schemata)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "\
use std::io;

/// At most so many.
const MOST: usize = 4;

struct S(usize);

impl S {
    fn add(&mut self) { self.0 += one(); }
    const fn most() -> usize { MOST }
}

fn one() -> usize { 1 }
";

    fn source(answers: &[String]) -> (String, Vec<usize>) {
        let schemata = schemata(REFERENCE, answers).expect("it is Rust");
        syn::parse_file(&schemata.source).expect("it is Rust");
        let arms = schemata.arms.iter();
        arms.clone().for_each(|arm| assert!(schemata.source[arm.start..arm.end].starts_with('{')));
        (schemata.source.clone(), arms.map(|arm| arm.answer).collect())
    }

    #[track_caller]
    fn arms_of(replaced: &str, by: &str, wanted: &[&str]) {
        assert!(REFERENCE.contains(replaced));
        let (source, _) = source(&[REFERENCE.replace(replaced, by)]);
        let arms: Vec<String> = source
            .split("1 => ")
            .skip(1)
            .map(|arm| arm.split("\n_ =>").next().expect("an arm").replace('\n', " "))
            .collect();
        assert_eq!(arms, wanted, "{source}");
    }

    #[test]
    fn a_body_becomes_an_arm() {
        arms_of("self.0 += one();", "self.0 = one();", &["{ self.0 = one(); }"]);
        arms_of("{ 1 }", "{ 2 }", &["{ 2 }"]);
    }

    #[test]
    fn the_answers_keep_their_numbers() {
        let answers = ["{ 2 }", "struct { 3 }", "{ 1 } // one", "{ 4 }"];
        let answers = answers.map(|body| REFERENCE.replace("{ 1 }", body));
        let (source, arms) = source(&answers);
        assert_eq!(arms, [1, 4]);
        let function = "match ::testing::answer() {\n1 => { 2 }\n4 => { 4 }\n_ => { 1 }\n} }\n";
        assert!(source.ends_with(function), "{source}");
    }

    #[test]
    fn what_only_the_answer_has_stands_in_its_arms() {
        let with = REFERENCE.replace("fn one", "fn two() -> usize { 2 }\nfn one");
        let (source, _) =
            source(&[with.replace("{ 1 }", "{ two() }").replace("use std::io;", "use std::fs;")]);
        assert!(
            source.contains("1 => {\nuse std::fs;\nfn two() -> usize { 2 }\n{ two() }\n}\n_ =>"),
            "{source}"
        );
        assert!(source.starts_with("use std::io;"), "{source}");
    }

    #[test]
    fn what_mentions_a_changed_constant_or_function_is_changed() {
        let most = REFERENCE.replace("{ MOST }", "{ 4 }").replace("{ 1 }", "{ MOST }");
        let schemata = schemata(&most, &[most.replace("= 4", "= 5")]).expect("it is Rust");
        assert_eq!(schemata.arms.len(), 1, "{}", schemata.source);
        arms_of("-> usize { 1 }", "-> u64 { 1 }", &["{ fn one() -> u64 { 1 } { self.0 += one(); } }"]);
    }

    #[test]
    fn an_answer_with_another_constant_in_a_static_is_left_out() {
        for fixed in [
            "static N: usize = MOST;",
            "const N: usize = MOST;",
            "fn n(_: [(); MOST]) {}",
            "mod m { use super::MOST; }",
        ] {
            let reference =
                format!("{}{fixed}\n", REFERENCE.replace("{ MOST }", "{ 4 }").replace("{ 1 }", "{ MOST }"));
            let arms = schemata(&reference, &[reference.replace("usize = 4", "usize = 5")])
                .expect("it is Rust")
                .arms;
            assert_eq!(arms.len(), 0, "{fixed}");
        }
    }

    #[test]
    fn other_types_signatures_and_constant_functions_are_left_out() {
        for (replaced, by) in [
            ("(usize)", "(u8)"),
            ("&mut self", "&self"),
            ("{ MOST }", "{ 5 }"),
            ("}\n\nfn one", "fn f() {} }\n\nfn one"),
        ] {
            arms_of(replaced, by, &[]);
        }
        let hidden = "fn f() -> impl Copy { 1 }";
        assert_eq!(schemata(hidden, &[hidden.replace('1', "2")]).expect("it is Rust").arms.len(), 0);
    }
}
