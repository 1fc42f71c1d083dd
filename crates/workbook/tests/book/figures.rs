//! Figures and images say in words what they show, for readers who do not see them.

use scraper::{ElementRef, Selector};

use crate::checkout::{Checkout, Fault, one_line};
use crate::render::{Rendered, select};

pub fn faults(checkout: &Checkout, rendered: &Rendered) -> Vec<Fault> {
    let mut faults = Vec::new();
    for page in &checkout.pages {
        let Some(html) = rendered.html(page) else { continue };
        for figure in select(&html, "svg.figure, figure svg") {
            let title = of(figure, "title");
            let called = title.as_ref().map_or(String::new(), |(_, text)| format!(" \"{text}\""));
            let needle = title.as_ref().map_or("<svg".to_owned(), |(_, text)| format!(">{text}<"));
            let mut find =
                |text: String| faults.push(page.fault(&[&needle], format!("the figure{called} {text}")));
            if !figure.value().classes().any(|class| class == "figure") {
                find("lacks class=\"figure\", and so the colors of the theme".into());
            }
            if figure.attr("role") != Some("img") {
                find("lacks role=\"img\": a screen reader would read its labels one by one".into());
            }
            let description = of(figure, "desc");
            for (name, found) in [("title", &title), ("desc", &description)] {
                if found.as_ref().is_none_or(|(_, text)| text.is_empty()) {
                    find(format!("has no <{name}> with words in it"));
                }
            }
            let inside = [&title, &description].map(|found| found.as_ref().and_then(|(id, _)| id.clone()));
            let labels: Vec<_> =
                figure.attr("aria-labelledby").unwrap_or_default().split_whitespace().collect();
            if labels.is_empty() {
                find("lacks aria-labelledby with the ids of its <title> and <desc>".into());
            }
            for label in labels.iter().filter(|label| !inside.iter().flatten().any(|id| id == *label)) {
                find(format!(
                    "is labelled by `{label}`, which is the id of neither its <title> nor its <desc>"
                ));
            }
        }
        for image in select(&html, "img") {
            if image.attr("alt").is_none_or(|alt| alt.trim().is_empty()) {
                let name = image.attr("src").unwrap_or_default();
                faults.push(
                    page.fault(&[name], format!("the image `{name}` has no text in place of it: ![text](…)")),
                );
            }
        }
    }
    // An image is there twice: mdBook adds one that fills the screen.
    faults.dedup();
    faults
}

/// The id and the text of a child.
fn of(figure: ElementRef<'_>, name: &str) -> Option<(Option<String>, String)> {
    let selector = Selector::parse(name).expect("a selector");
    let child = figure.select(&selector).next()?;
    Some((child.attr("id").map(str::to_owned), one_line(&child.text().collect::<String>())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    const GOOD: &str = "<figure>\n<svg class=\"figure\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">Two\nlanes</title>\n\
                        <desc id=\"d\">What it shows.</desc>\n</svg>\n</figure>\n";

    fn book(figure: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch
            .page("index.md", "# A\n\n{{#include figures/a.svg}}\n")
            .file("book/src/figures/a.svg", figure);
        scratch.faults(faults)
    }

    #[test]
    fn a_good_figure_is_left_alone() {
        none(&book(GOOD));
        none(&book("> [!NOTE]\n> An icon of mdBook's own.\n\n![words](figures/a.svg)\n"));
    }

    #[test]
    fn a_figure_without_a_role_is_found() {
        let figure = GOOD.replace(" role=\"img\"", "").replace("\nlanes", "");
        one(&book(&figure), "book/src/figures/a.svg:3: ", "the figure \"Two\" lacks role=\"img\"");
    }

    #[test]
    fn a_figure_without_the_themes_colors_is_found() {
        one(&book(&GOOD.replace(" class=\"figure\"", "")), "book/src/", "lacks class");
    }

    #[test]
    fn a_figure_without_a_title_is_found() {
        let figure = GOOD.replace("<title id=\"t\">Two\nlanes</title>\n", "").replace("\"t d\"", "\"d\"");
        one(&book(&figure), "book/src/figures/a.svg:2: ", "no <title> with words");
    }

    #[test]
    fn an_empty_description_is_found() {
        one(&book(&GOOD.replace("What it shows.", " ")), "book/src/", "no <desc> with words");
    }

    #[test]
    fn a_label_that_names_nothing_is_found() {
        one(&book(&GOOD.replace("\"t d\"", "\"t e\"")), "book/src/", "labelled by `e`");
        one(&book(&GOOD.replace(" aria-labelledby=\"t d\"", "")), "book/src/", "lacks aria-labelledby");
    }

    #[test]
    fn an_image_without_a_text_is_found() {
        one(&book("![](figures/a.svg)\n"), "book/src/index.md:3: ", "no text in place of it");
    }
}
