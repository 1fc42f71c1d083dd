//! Building the book as `mdbook build` does, into memory, with what mdBook logs on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mdbook_driver::MDBook;
use scraper::{ElementRef, Html, Selector};
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::checkout::{Checkout, Fault, Page, resolve};

/// The book as mdBook wrote it.
pub struct Rendered {
    /// By path below the built book; empty for what is not text, and no entry at all if nothing was built.
    pub files: BTreeMap<String, String>,
    /// The lines with ERROR and WARN, and the error that ended the build.
    pub log: Vec<String>,
    ids: BTreeMap<String, BTreeSet<String>>,
}

impl Rendered {
    pub fn of(checkout: &Checkout) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let log = Log::default();
        let result =
            tracing::subscriber::with_default(tracing_subscriber::registry().with(log.clone()), || {
                let mut book = MDBook::load(checkout.root.join("book"))?;
                book.config.build.build_dir = folder.path().join("html");
                book.build()
            });
        let mut log = log.0.lock().expect("no thread panicked with the log").clone();
        let mut files = BTreeMap::new();
        match result {
            Ok(()) => collect(&folder.path().join("html"), "", &mut files),
            Err(error) => log.push(format!("ERROR {error:#}")),
        }
        let pages = files.iter().filter(|(path, _)| path.ends_with(".html"));
        let ids = pages.map(|(path, html)| (path.clone(), ids(html))).collect();
        Self { files, log, ids }
    }

    /// What mdBook made of a page, if SUMMARY.md names it.
    pub fn html(&self, page: &Page) -> Option<Html> {
        self.files.get(&page.html()).map(|html| Html::parse_document(html))
    }

    /// Is there an element with that id?
    pub fn has_id(&self, file: &str, id: &str) -> bool {
        self.ids.get(file).is_some_and(|ids| ids.contains(id))
    }
}

/// The text that a page's author wrote, as elements: without mdBook's own header and navigation.
pub fn select<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    let selector = format!("main :is({selector})");
    html.select(&Selector::parse(&selector).expect("a selector")).collect()
}

/// Where a link on a page leads inside the book: a file and the id in it. `None` where it leads out.
pub fn target(page: &str, link: &str) -> Option<(String, Option<String>)> {
    let (path, id) = link.split_once('#').map_or((link, None), |(path, id)| (path, Some(id.to_owned())));
    let path = path.split('?').next().unwrap_or_default();
    match path {
        "" => Some((page.to_owned(), id)),
        _ if path.starts_with('/') => None,
        _ => Some((resolve(page, path)?, id)),
    }
}

/// Does this leave the book: `https://…`, `//…`, `mailto:…`?
pub fn is_outside(link: &str) -> bool {
    let scheme = link.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    link.starts_with("//") || !scheme.is_empty() && scheme.chars().all(is_scheme)
}

/// mdBook has nothing to complain of.
pub fn faults(checkout: &Checkout, rendered: &Rendered) -> Vec<Fault> {
    let summary = "book/src/SUMMARY.md";
    let named = checkout.read(summary).unwrap_or_default();
    let place = |message: &str| {
        // What mdBook quotes from a page, or the page's name, is the only clue.
        let quoted = message.split(['`', '"', '<', '>']).skip(1).step_by(2).filter(|text| text.len() > 2);
        for quote in quoted {
            if let Some(at) = named.find(&format!("({quote})")).filter(|_| message.contains("failed to read"))
            {
                return (summary.to_owned(), named[..at].matches('\n').count() + 1);
            }
            for page in &checkout.pages {
                if page.file.ends_with(&format!("/{quote}")) {
                    let tag =
                        message.split_once('<').and_then(|(_, tag)| tag.split_once('>')).map(|(tag, _)| tag);
                    let (file, line) = page.locate(&[&format!("<{}", tag.unwrap_or_default())]);
                    return (file.to_owned(), line);
                }
                if let Some(at) = page.source.find(quote).filter(|_| quote.starts_with("{{")) {
                    return (page.file.clone(), page.source[..at].matches('\n').count() + 1);
                }
            }
        }
        ("book/book.toml".to_owned(), 1)
    };
    let lines = rendered.log.iter().map(|message| {
        let (file, line) = place(message);
        Fault { file, line, text: format!("mdBook says: {message}") }
    });
    lines.collect()
}

fn collect(folder: &Path, below: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the built book").flatten() {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else {
            files.insert(path, fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
}

fn ids(html: &str) -> BTreeSet<String> {
    let html = Html::parse_document(html);
    let with_id = Selector::parse("[id]").expect("a selector");
    html.select(&with_id).filter_map(|element| element.attr("id").map(str::to_owned)).collect()
}

/// Keeps what is worth a warning.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level <= Level::WARN {
            let mut line = Message(level.to_string());
            event.record(&mut line);
            self.0.lock().expect("no thread panicked with the log").push(line.0);
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, " {value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, none, one};

    #[test]
    fn a_good_book_is_built_without_a_word() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n\n<details>\n<summary>S</summary>\n\n`x` & *y*\n\n</details>\n");
        none(&scratch.faults(faults));
    }

    #[test]
    fn a_failed_include_is_found_in_the_log() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n").page("b.md", "# B\n\n{{#include gone.md}}\n");
        let faults = scratch.faults(faults);
        one(&faults[..1], "book/src/b.md:3: ", "ERROR Error updating");
    }

    #[test]
    fn an_unclosed_tag_is_found_in_the_log() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n").page("b.md", "# B\n\nHere: <b>bold.\n\nNext.\n");
        one(&scratch.faults(faults), "book/src/b.md:3: ", "WARN unclosed HTML tag `<b>`");
    }

    #[test]
    fn an_unknown_key_of_book_toml_is_found_in_the_log() {
        let scratch = Scratch::new();
        scratch
            .page("index.md", "# A\n")
            .file("book/book.toml", "[book]\ntitle = \"x\"\n[output.html]\nthem = 1\n");
        let faults = scratch.faults(faults);
        one(&faults[..1], "book/book.toml:1: ", "them");
    }

    #[test]
    fn a_page_that_is_missing_ends_the_build() {
        let scratch = Scratch::new();
        scratch.page("index.md", "# A\n").file("book/src/SUMMARY.md", "- [A](index.md)\n- [B](b.md)\n");
        let checkout = scratch.checkout();
        one(&faults(&checkout, &Rendered::of(&checkout)), "book/src/SUMMARY.md:2: ", "b.md");
    }

    #[test]
    fn a_link_is_seen_from_its_page() {
        assert_eq!(target("02/a.html", "b.html#x"), Some(("02/b.html".into(), Some("x".into()))));
        assert_eq!(target("02/a.html", "#x"), Some(("02/a.html".into(), Some("x".into()))));
        assert_eq!(target("02/a.html", "../c.html"), Some(("c.html".into(), None)));
        assert_eq!(target("02/a.html", "../../c.html"), None);
        assert_eq!(target("02/a.html", "/c.html"), None);
        assert!(is_outside("https://example.org") && is_outside("//x") && is_outside("mailto:a@b"));
        assert!(!is_outside("a.html") && !is_outside("a.html#b:c/d") && !is_outside("#a"));
    }
}
