//! The change from one stage to the next, which the book prints, is the difference of the two files. `BLESS=1` writes it.

use std::fs;

use similar::TextDiff;

/// A stage as the book prints it: between its anchors `program`, without the lines of other anchors.
fn printed(n: usize) -> String {
    let path = format!("src/stage_{n}.rs");
    let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = source.lines().skip_while(|line| *line != "// ANCHOR: program");
    let lines = lines.filter(|line| !line.contains("// ANCHOR"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn each_diff_is_up_to_date() {
    for pair in stages::STAGES.windows(2) {
        let (before, n) = (pair[0].0, pair[1].0);
        let (old, new) = (printed(before), printed(n));
        let diff = TextDiff::from_lines(&old, &new);
        let names = [before, n].map(|n| format!("stage_{n}.rs"));
        let diff = diff.unified_diff().context_radius(2).header(&names[0], &names[1]).to_string();
        let path = format!("diffs/{n}.diff");
        if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
            fs::write(&path, diff).unwrap_or_else(|error| panic!("{path}: {error}"));
        } else {
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                written, diff,
                "{path} is not the change from stage {before} to stage {n}. `just bless` writes it"
            );
        }
    }
}
