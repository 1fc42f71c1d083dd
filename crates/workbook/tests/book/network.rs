//! Nothing on a page is fetched from the network: a reader may be on a train. Links that a reader follows may
//! lead anywhere.

use std::sync::LazyLock;

use regex::Regex;
use scraper::{Html, Selector};

use crate::checkout::{Checkout, Fault};
use crate::render::Rendered;

static IN_STYLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?:url\(\s*|@import\s+)["']?\s*((?:https?:)?//[^"')\s;]+)"#).expect("a regex")
});
static LOADING: LazyLock<Selector> = LazyLock::new(|| {
    Selector::parse("[src], [srcset], [poster], object[data], link[href], image, use, [style], style")
        .expect("a selector")
});

pub fn faults(checkout: &Checkout, rendered: &Rendered) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (file, text) in &rendered.files {
        let mut addresses = Vec::new();
        match file.rsplit('.').next() {
            // The print page repeats what is on the others.
            Some("html" | "svg") if file != "print.html" => addresses.extend(in_document(text)),
            Some("css") => addresses.extend(in_style(text)),
            _ => {}
        }
        for address in addresses {
            let text = format!(
                "{address} would be fetched from the network when {file} is read: put it into the book"
            );
            let page = checkout.pages.iter().find(|page| page.html() == *file);
            faults.push(match page {
                Some(page) => page.fault(&[&address], text),
                None => Fault::new(&source(checkout, file), 1, text),
            });
        }
    }
    // An image is there twice: mdBook adds one that fills the screen.
    faults.dedup();
    faults
}

fn in_document(text: &str) -> Vec<String> {
    let mut addresses = Vec::new();
    for element in Html::parse_document(text).select(&LOADING) {
        for name in ["src", "poster", "data", "href", "xlink:href"] {
            addresses.extend(element.attr(name).filter(|link| is_remote(link)).map(str::to_owned));
        }
        let set = element
            .attr("srcset")
            .unwrap_or_default()
            .split(',')
            .filter_map(|one| one.split_whitespace().next());
        addresses.extend(set.filter(|link| is_remote(link)).map(str::to_owned));
        addresses.extend(in_style(element.attr("style").unwrap_or_default()));
        if element.value().name() == "style" {
            addresses.extend(in_style(&element.text().collect::<String>()));
        }
    }
    addresses
}

fn in_style(text: &str) -> Vec<String> {
    IN_STYLE.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn is_remote(link: &str) -> bool {
    let link = link.trim_start().to_ascii_lowercase();
    ["http://", "https://", "//"].iter().any(|start| link.starts_with(start))
}

/// Where a file of the built book that is not a page comes from, as far as that can be told: mdBook puts a hash
/// into names.
fn source(checkout: &Checkout, built: &str) -> String {
    static HASH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"-[0-9a-f]{8}\.").expect("a regex"));
    let unhashed = HASH.replace(built, ".");
    let files = ["book/src", "book"]
        .into_iter()
        .flat_map(|top| [format!("{top}/{built}"), format!("{top}/{unhashed}")]);
    files
        .into_iter()
        .find(|file| checkout.root.join(file).is_file())
        .unwrap_or_else(|| "book/book.toml".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    fn page(text: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n").page("b.md", &format!("# B\n\n{text}\n"));
        scratch.faults(faults)
    }

    #[test]
    fn links_to_follow_are_left_alone() {
        none(&page("[a](https://example.org) <https://example.org> ![b](data:image/png;base64,AA==)\n"));
    }

    #[test]
    fn an_image_from_the_network_is_found() {
        one(
            &page("![a](https://example.org/a.png)"),
            "book/src/b.md:3: ",
            "https://example.org/a.png would be fetched",
        );
    }

    #[test]
    fn what_html_fetches_is_found() {
        for html in [
            "<script src=\"//example.org/x\"></script>",
            "<iframe src=\"http://example.org/x\"></iframe>",
            "<object data=\"https://example.org/x\"></object>",
            "<link rel=\"stylesheet\" href=\"https://example.org/x\">",
            "<img alt=\"a\" srcset=\"https://example.org/x 2x\">",
            "<div style=\"background: url('https://example.org/x')\"></div>",
            "<svg><image href=\"https://example.org/x\"></image></svg>",
        ] {
            let found = in_document(html);
            assert!(matches!(&found[..], [one] if one.ends_with("//example.org/x")), "{html}: {found:?}");
        }
    }

    #[test]
    fn what_a_style_sheet_fetches_is_found() {
        for css in ["@import \"https://example.org/x\";", "a { background: url( //example.org/x ) }"] {
            let scratch = Scratch::new();
            let toml = "[book]\ntitle = \"x\"\n[output.html]\nadditional-css = [\"theme/own.css\"]\n";
            scratch.page("index.md", "# A\n").file("book/book.toml", toml).file("book/theme/own.css", css);
            one(&scratch.faults(faults), "book/theme/own.css:1: ", "//example.org/x would be fetched");
        }
    }
}
