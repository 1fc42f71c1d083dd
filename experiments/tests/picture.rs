//! The README's picture shows a real run: what `just fd-vanishes` prints, in its colors.

use std::fs;
use std::process::Command;

use anstyle::{Color, RgbColor};
use anstyle_svg::{Palette, Term};
use support::{blessing, program, root, run};

mod support;

const WORDS: &str = "A terminal. The command: just fd-vanishes. The experiment prints its question, four choices, a \
                     timeline with one lane a process, what that shows, and the verdict: this kernel agrees with the \
                     book.";

/// Dark on any page: every color has a contrast of at least 7 : 1 with it. In the order of ANSI's numbers.
const BACKGROUND: RgbColor = RgbColor(0x16, 0x1b, 0x22);
const TEXT: RgbColor = RgbColor(0xe6, 0xed, 0xf3);
const COLORS: [RgbColor; 8] = [
    RgbColor(0x9d, 0xa7, 0xb3),
    RgbColor(0xff, 0xa1, 0x98),
    RgbColor(0x56, 0xd3, 0x64),
    RgbColor(0xe3, 0xb3, 0x41),
    RgbColor(0x79, 0xc0, 0xff),
    RgbColor(0xd2, 0xa8, 0xff),
    RgbColor(0x56, 0xd4, 0xdd),
    TEXT,
];

#[test]
fn the_readme_shows_what_an_experiment_prints() {
    let run = run(Command::new(program("fd-vanishes")).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR"));
    assert_eq!(run.status, Some(0), "fd-vanishes does not agree: {}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains('\x1b'), "it prints no colors with CLICOLOR_FORCE=1: {}", run.stdout);
    let terminal = format!("\x1b[32m$\x1b[0m \x1b[1mjust fd-vanishes\x1b[0m\n\n{}", run.stdout);
    let picture = described(&term().render_svg(&terminal));
    let path = root().join("book/src/images/first-run.svg");
    if blessing() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder for images");
        fs::write(&path, &picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == picture,
        "{} is not what fd-vanishes prints now: just bless draws it anew",
        path.display()
    );
}

fn term() -> Term {
    let mut colors = [TEXT; 16];
    colors[..8].copy_from_slice(&COLORS);
    colors[8..].copy_from_slice(&COLORS);
    Term::new().palette(Palette(colors)).fg_color(Color::Rgb(TEXT)).bg_color(Color::Rgb(BACKGROUND))
}

/// The same picture with a description for readers who do not see it, an edge for dark pages, and dim text that can be
/// read.
fn described(svg: &str) -> String {
    let (start, rest) = svg.split_once('>').expect("the element svg");
    let rest = rest.replace("opacity: 0.4", "opacity: 0.75");
    let rest = rest.replace("class=\"bg\" />", "class=\"bg\" stroke=\"#484f58\" stroke-width=\"2\" />");
    format!("{start} role=\"img\" aria-label=\"{WORDS}\">\n  <title>just fd-vanishes</title>{rest}")
}
