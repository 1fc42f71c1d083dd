//! Links and images inside the book lead to something: to a file that mdBook wrote, and to an id in it.

use std::collections::BTreeSet;

use crate::checkout::{Checkout, Fault};
use crate::render::{Rendered, is_outside, select, target};

pub fn faults(checkout: &Checkout, rendered: &Rendered) -> Vec<Fault> {
    let mut faults = Vec::new();
    for page in &checkout.pages {
        let Some(html) = rendered.html(page) else { continue };
        for element in select(&html, "[href], [src], [xlink\\:href]") {
            let link = ["href", "src", "xlink:href"].iter().find_map(|name| element.attr(name));
            let Some(link) = link.filter(|link| !is_outside(link)) else { continue };
            let wrong = match target(&page.html(), link) {
                None => Some("leads out of the book".to_owned()),
                Some((file, _)) if !rendered.files.contains_key(&file) => {
                    Some(format!("leads to {file}, which is not in the book"))
                }
                Some((file, Some(id))) if !id.is_empty() && !rendered.has_id(&file, &id) => {
                    Some(format!("leads to an id, and {file} has none that is called `{id}`"))
                }
                Some(_) => None,
            };
            let written = link.replace(".html", ".md");
            let place = page.locate(&[&format!("({written}")]);
            let place = if place.1 == 1 { page.locate(&[&written]) } else { place };
            faults.extend(
                wrong.map(|wrong| Fault::new(place.0, place.1, format!("the link `{link}` {wrong}"))),
            );
        }
        let mut ids = BTreeSet::new();
        for id in select(&html, "[id]").iter().filter_map(|element| element.attr("id")) {
            if !ids.insert(id) {
                let text = format!("the id `{id}` stands twice on this page: links find the first only");
                faults.push(page.fault(&[&format!("\"{id}\"")], text));
            }
        }
    }
    // An image is there twice: mdBook adds one that fills the screen.
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    fn book(page: &str) -> Vec<Fault> {
        let scratch = Scratch::new();
        scratch
            .page("index.md", "# A title\n\n## A part\n\n<div id=\"mine\"></div>\n")
            .page("01-x/b.md", page);
        scratch.file("book/src/a.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>");
        scratch.faults(faults)
    }

    #[test]
    fn good_links_are_left_alone() {
        none(&book(
            "# B\n\n[a](../index.md) [b](#b) [c](../index.md#a-part) [d](../index.md#mine) \
                    [e](https://example.org/x#y) ![f](../a.svg) <a href=\"../index.md#mine\">g</a>\n",
        ));
    }

    #[test]
    fn a_link_to_no_page_is_found() {
        one(
            &book("# B\n\ntext\n[a](../c.md)\n"),
            "book/src/01-x/b.md:4: ",
            "leads to c.html, which is not in the book",
        );
    }

    #[test]
    fn a_link_to_no_id_is_found() {
        one(
            &book("# B\n\n[a](../index.md#a-prat)\n"),
            "book/src/01-x/b.md:3: ",
            "none that is called `a-prat`",
        );
    }

    #[test]
    fn a_fragment_of_the_page_itself_is_found() {
        one(&book("# B\n\n\n[a](#c)\n"), "book/src/01-x/b.md:4: ", "01-x/b.html has none that is called `c`");
    }

    #[test]
    fn a_missing_image_is_found() {
        one(&book("# B\n\n![a](a.svg)\n"), "book/src/01-x/b.md:3: ", "leads to 01-x/a.svg");
    }

    #[test]
    fn a_link_out_of_the_book_is_found() {
        one(&book("# B\n\n[a](../../x.rs)\n"), "book/src/01-x/b.md:3: ", "leads out of the book");
    }

    #[test]
    fn an_id_that_stands_twice_is_found() {
        let page = "# B\n\n<i id=\"x\"></i>\n\n<i id=\"x\"></i>\n";
        one(&book(page), "book/src/01-x/b.md:3: ", "`x` stands twice");
    }

    #[test]
    fn a_link_in_an_included_file_is_found_where_it_was_written() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n\n{{#include ../../hints/h.md:one}}\n");
        scratch.file("hints/h.md", "<!-- ANCHOR: one -->\nx [a](gone.md)\n<!-- ANCHOR_END: one -->\n");
        one(&scratch.faults(faults), "hints/h.md:2: ", "leads to gone.html");
    }
}
