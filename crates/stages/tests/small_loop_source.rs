//! The second page of the book prints `Loop::run`, and says of each line which chapter explains it.

#[test]
fn run_has_22_lines_and_each_names_its_chapter() {
    let source = include_str!("../src/small_loop.rs");
    let (_, rest) = source.split_once("// ANCHOR: run\n").expect("the anchor `run`");
    let (run, _) = rest.split_once("    // ANCHOR_END: run\n").expect("its end");
    let without =
        run.lines().filter(|line| line.contains(|c: char| c.is_alphabetic()) && !line.contains("// ch. "));
    assert_eq!(
        without.collect::<Vec<_>>(),
        ["                Ok(_) => {}"],
        "each other line names its chapter"
    );
    assert_eq!(run.lines().count(), 22, "the lines of Loop::run, and how many the book says that it has");
}
