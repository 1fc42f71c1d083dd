//! What `workbook verify` and `workbook mutants` need to know about a Rust file; each prints JSON.
//!
//! `mutants edits crates/cloexec/src/flags.rs` lists the edits that make mutants of it. An edit replaces the bytes from
//! `start` to `end` with `text`. Each is small and of one kind: another operator, another constant, a condition negated, a
//! flag left out, a statement deleted or moved behind the next, an error ignored, a match arm deleted, a function that does
//! nothing, a weaker memory ordering. Whether an edited file compiles is for rustc to say, and whether a test catches it is
//! for `workbook mutants`.
//!
//! `mutants schemata crates/cloexec/src/flags.rs ANSWERS.json` puts the answers of a JSON array into one source: see
//! [`schemata`].

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

mod edit;
mod expressions;
mod found;
mod functions;
mod parts;
mod schemata;
mod statements;
mod visitor;

use edit::Edit;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let said = match &arguments[..] {
        [what, file] if what == "edits" => {
            let (source, cannot_parse) = read(file)?;
            serde_json::to_string(&edits(&source).context(cannot_parse)?)?
        }
        [what, file, answers] if what == "schemata" => {
            let (source, cannot_parse) = read(file)?;
            let answers: Vec<String> = serde_json::from_str(&read(answers)?.0)?;
            serde_json::to_string(&schemata::schemata(&source, &answers).context(cannot_parse)?)?
        }
        _ => bail!("usage: mutants edits FILE.rs, or mutants schemata FILE.rs ANSWERS.json"),
    };
    println!("{said}");
    Ok(())
}

/// A file, with lines that end as the tool reads them, and what to say when its text is of no use.
fn read(file: &OsString) -> Result<(String, String)> {
    let path = Path::new(file).display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {path}"))?.replace("\r\n", "\n");
    Ok((text, format!("cannot parse {path}")))
}

/// All edits of a source, in the order of their places. No two give the same text.
///
/// # Errors
/// When it is not Rust.
fn edits(source: &str) -> Result<Vec<Edit>> {
    Ok(visitor::edits(source, &syn::parse_file(source)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mutants of a source, as what stands in the place of the changed part: `a < b` to `a <= b`.
    fn mutants(source: &str) -> Vec<String> {
        let edits = edits(source).expect("it is Rust");
        edits.iter().map(|edit| format!("{} -> {}", &source[edit.start..edit.end], edit.text)).collect()
    }

    #[track_caller]
    fn of_body(body: &str, wanted: &[&str]) {
        let found = mutants(&format!("fn f(a: u8, b: u8) -> Q {{ {body} }}"));
        assert_eq!(found, wanted);
    }

    #[test]
    fn operators_are_exchanged() {
        of_body("a < b", &["< -> <=", "< -> >="]);
        of_body("a == b", &["== -> !="]);
        of_body("a + b", &["+ -> -"]);
        of_body("a && b", &["&& -> ||"]);
        of_body("!a", &["!a -> a"]);
        of_body("a..b", &[".. -> ..="]);
        of_body("a.min(b)", &["min -> max"]);
    }

    #[test]
    fn each_flag_of_a_union_is_dropped_once() {
        let drops = ["A | B | C -> A | B", "A | B -> A", "A | B -> B"];
        of_body("A | B | C", &drops);
        of_body("a - F::B", &["a - F::B -> a", "- -> +"]);
    }

    #[test]
    fn constants_are_changed() {
        of_body("0", &["0 -> 1"]);
        of_body("1u8", &["1u8 -> 0u8", "1u8 -> 2u8"]);
        of_body("1_000", &["1_000 -> 999", "1_000 -> 1001"]);
        of_body("true", &["true -> false"]);
    }

    #[test]
    fn conditions_are_negated_and_guards_deleted() {
        of_body("if a.b() { c } else { d }", &["a.b() -> !(a.b())"]);
        of_body("while a.b() {}", &["while a.b() {} -> ", "a.b() -> !(a.b())"]);
        of_body(
            "match a { b if c() => d, _ => e }",
            &["b if c() => d, -> ", "c() -> !(c())", "c() -> true", "_ => e -> "],
        );
    }

    #[test]
    fn statements_are_deleted_and_swapped_and_their_errors_ignored() {
        let wanted = ["a(); -> ", "a(); b()?; -> b()?;\na();", "b()?; -> ", "b()?; -> let _ = b();"];
        of_body("a(); b()?; c", &wanted);
        of_body("let a = b; debug_assert!(a); c", &[]);
    }

    #[test]
    fn orderings_are_weakened() {
        of_body("a.load(SeqCst)", &["SeqCst -> Relaxed"]);
        of_body("a.swap(b, Ordering::AcqRel)", &["AcqRel -> Acquire", "AcqRel -> Release"]);
    }

    #[test]
    fn functions_return_early() {
        assert_eq!(mutants("fn f() -> Result<()> { a() }"), ["{ a() } -> { Ok(()) }"]);
        assert_eq!(mutants("fn f() -> bool { a() }"), ["{ a() } -> { true }", "{ a() } -> { false }"]);
        assert_eq!(mutants("fn f() { a() }"), ["{ a() } -> {}"]);
        assert_eq!(mutants("fn f() { a(); }"), ["a(); -> "]);
    }

    #[test]
    fn tests_and_attributes_are_left_alone() {
        let source = "#[cfg(test)]\nmod tests { fn f() -> u8 { 1 } }\n#[repr(align(8))] struct S([u8; 4]);";
        assert_eq!(mutants(source), [""; 0]);
    }

    #[test]
    fn an_edit_names_its_function_and_counts_in_bytes() {
        let source = "// über\nimpl S { fn über(&self) -> S { 0 } }\nconst N: u8 = 0;";
        let edits = edits(source).expect("it is Rust");
        let found: Vec<_> = edits.iter().map(|e| (&*e.function, &source[e.start..e.end])).collect();
        assert_eq!(found, [("über", "0"), ("N", "0")]);
    }
}
