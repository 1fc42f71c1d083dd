//! The built book: its files, the hashes of each page's scripts, and the child process that builds it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::rc::Rc;

use httpserver::files::Files;
use httpserver::{Request, Response};
use ioloop::IoLoop;
use serde_json::{Value, json};

use crate::child::{From, Listener, Process};
use crate::headers::{self, NOT_FOUND};
use crate::keeper;
use crate::output::complain;
use crate::refusal::Refusal;

/// What the builder says.
pub enum News {
    /// It begins to build.
    Building,
    /// The book is built: the pages that are new or have changed, without `.html`, and how long it took, in seconds.
    Built(Vec<String>, f64),
    /// mdBook has refused the book.
    Failed(String),
    /// The file of an exercise was saved.
    Saved(String),
    /// The tool has written down a verdict.
    Judged,
    /// The builder has exited, and nothing will be built anymore.
    Gone,
}

/// The book as it was built last.
#[derive(Default)]
pub struct Book {
    built: RefCell<Option<Built>>,
    builds: Cell<u64>,
    /// The pages that have changed since the first build, and in which build each did so the last time.
    changed: RefCell<BTreeMap<String, u64>>,
}

struct Built {
    files: Files,
    scripts: BTreeMap<String, Vec<String>>,
}

impl Book {
    /// Nothing is built yet.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Answer a request for a page or another file.
    pub fn answer(&self, request: &Request) -> Response {
        let built = self.built.borrow();
        let Some(Built { files, scripts }) = &*built else {
            return Refusal::NO_BOOK.response();
        };
        let response = files.answer(request);
        let asked = page(request.path());
        // What is not a page of the book is the page 404.html, if mdBook has made one.
        let is_missing = response.status() == 404 && scripts.contains_key(NOT_FOUND);
        let page = if is_missing { NOT_FOUND } else { &asked };
        headers::with_scripts(response, page, scripts.get(page).map_or(&[], Vec::as_slice))
    }

    /// Take what the builder has built, and return the pages that have changed. A second build is taken whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn take(&self, line: &Value) -> io::Result<Vec<String>> {
        let folder = line["folder"].as_str().unwrap_or_default();
        let scripts = serde_json::from_value(line["scripts"].clone())?;
        let files = Files::new(Path::new(folder))?;
        *self.built.borrow_mut() = Some(Built { files, scripts });
        self.builds.set(self.builds.get() + 1);
        let changed: Vec<String> = serde_json::from_value(line["changed"].clone()).unwrap_or_default();
        let pages: Vec<String> =
            changed.iter().filter_map(|file| file.strip_suffix(".html")).map(str::to_owned).collect();
        if self.builds.get() > 1 {
            self.changed.borrow_mut().extend(pages.iter().map(|page| (page.clone(), self.builds.get())));
        }
        Ok(pages)
    }

    /// The number of the build that is served.
    pub fn build(&self) -> u64 {
        self.builds.get()
    }

    /// The first event of a stream. A page that was loaded in an earlier build than the one in which it changed is out of date.
    pub fn hello(&self) -> Value {
        json!({ "kind": "hello", "changed": *self.changed.borrow() })
    }
}

/// The file of a page: `/` and `/chapter/` are their index.
fn page(path: &str) -> String {
    let path = path.trim_start_matches('/');
    if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() }
}

/// Start the builder, and give its news to `hear`.
///
/// # Errors
/// Those of [`Process::start`].
pub fn start_builder(
    ioloop: &IoLoop,
    root: &Path,
    into: &Path,
    verdicts: Option<&Path>,
    book: Rc<Book>,
    hear: impl Fn(&IoLoop, News) + 'static,
) -> io::Result<Rc<Process>> {
    let mut command = keeper::command(std::env::current_exe()?);
    command.arg("--build").arg("--root").arg(root).arg("--into").arg(into);
    verdicts.iter().for_each(|file| _ = command.arg("--verdicts").arg(file));
    Process::start(ioloop, command, Rc::new(Builder { book, hear }))
}

struct Builder<F> {
    book: Rc<Book>,
    hear: F,
}

impl<F: Fn(&IoLoop, News) + 'static> Listener for Builder<F> {
    fn line(&self, ioloop: &IoLoop, from: From, line: &[u8]) -> bool {
        let said = String::from_utf8_lossy(line);
        let Some(line) = serde_json::from_str::<Value>(&said).ok().filter(|_| from == From::Output) else {
            complain!("{said}");
            return true;
        };
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let news = match line["kind"].as_str() {
            Some("building") => News::Building,
            Some("built") => match self.book.take(&line) {
                Ok(pages) => News::Built(pages, line["seconds"].as_f64().unwrap_or_default()),
                Err(error) => News::Failed(format!("{}: {error}", text("folder"))),
            },
            Some("failed") => News::Failed(text("text")),
            Some("saved") => News::Saved(text("exercise")),
            Some("judged") => News::Judged,
            _ => return true,
        };
        (self.hear)(ioloop, news);
        true
    }

    fn ended(&self, ioloop: &IoLoop, _: Option<ExitStatus>) {
        (self.hear)(ioloop, News::Gone);
    }
}
