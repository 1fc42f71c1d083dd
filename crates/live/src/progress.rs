//! What the reader has done so far: from the tool's list, which is asked for anew when something may have changed, and the
//! predictions of this reader.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus};
use std::rc::Rc;
use std::{fs, io};

use ioloop::IoLoop;
use serde_json::{Map, Value, json};

use crate::catalogue::{Catalogue, Tool, page};
use crate::child::{From, Listener, Process};

/// What a reader predicts who has no idea.
pub const NO_IDEA: &str = "none";

/// Called when the list may be another one.
type Notify = Rc<dyn Fn(&IoLoop)>;

/// The catalogue, and the predictions.
pub struct Progress {
    tool: Tool,
    catalogue: RefCell<Catalogue>,
    /// Where the predictions are kept.
    file: PathBuf,
    /// For each experiment the letter of a choice, or [`NO_IDEA`].
    predictions: RefCell<BTreeMap<String, String>>,
    /// The exercises on whose files this server itself runs.
    mine: Vec<String>,
    kernel: String,
    asking: Cell<bool>,
    again: Cell<bool>,
    changed: RefCell<Option<Notify>>,
}

impl Progress {
    /// Progress as the tool lists it, with the predictions in `file`.
    pub fn new(tool: Tool, catalogue: Catalogue, file: PathBuf, mine: Vec<String>) -> Rc<Self> {
        let kept = kept(&file);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let (catalogue, predictions) = (RefCell::new(catalogue), RefCell::new(kept));
        let (asking, again, changed) = Default::default();
        Rc::new(Self { tool, catalogue, file, predictions, mine, kernel, asking, again, changed })
    }

    /// Call `f` when the list may be another one.
    pub fn on_change(&self, f: impl Fn(&IoLoop) + 'static) {
        *self.changed.borrow_mut() = Some(Rc::new(f));
    }

    /// The experiment of this name, by the catalogue's own text.
    pub fn experiment(&self, name: &str) -> Option<String> {
        self.catalogue.borrow().experiment(name).map(str::to_owned)
    }

    /// The exercise of this name, by the catalogue's own text.
    pub fn exercise(&self, name: &str) -> Option<String> {
        self.catalogue.borrow().exercise(name).map(str::to_owned)
    }

    /// Remember what the reader predicted. If it cannot be written, it lasts as long as the server.
    pub fn predicted(&self, experiment: &str, choice: &str) {
        let mut predictions = self.predictions.borrow_mut();
        // Another server of this checkout may have written others.
        predictions.extend(kept(&self.file));
        predictions.insert(experiment.to_owned(), choice.to_owned());
        // In one step, because half a file would be none.
        let beside = self.file.with_extension(format!("{}.new", process::id()));
        let written = serde_json::to_vec(&*predictions).map_err(io::Error::from);
        let written = written.and_then(|text| fs::write(&beside, text));
        let _ = written.and_then(|()| fs::rename(&beside, &self.file));
    }

    /// The kernel's release.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// All of it, as JSON.
    pub fn json(&self) -> Value {
        let (catalogue, predictions) = (self.catalogue.borrow(), self.predictions.borrow());
        let named = |list: &[Value], entry: &dyn Fn(&str, &Value) -> Value| -> Map<String, Value> {
            let entries = list
                .iter()
                .filter_map(|it| it["name"].as_str().map(|name| (name.to_owned(), entry(name, it))));
            entries.collect()
        };
        let experiments = named(catalogue.experiments(), &|name, it| {
            json!({
                "predicted": predictions.get(name), "ran": it["agrees"].is_boolean(), "agrees": it["agrees"],
                "page": page(&it["page"]), "chapter": it["chapter"],
            })
        });
        let exercises = named(
            catalogue.exercises(),
            &|_, it| json!({ "done": it["done"], "passes": it["passes"], "title": it["title"], "page": page(&it["page"]), "chapter": it["chapter"] }),
        );
        let mine = named(catalogue.exercises(), &|name, _| self.mine.iter().any(|mine| mine == name).into());
        json!({ "experiments": experiments, "exercises": exercises, "mine": mine, "kernel": self.kernel })
    }

    /// Ask the tool again, on the loop.
    pub fn refresh(self: &Rc<Self>, ioloop: &IoLoop) {
        if self.asking.replace(true) {
            self.again.set(true);
            return;
        }
        let asking = Rc::new(Asking { progress: Rc::clone(self), printed: RefCell::default() });
        if Process::start(ioloop, self.tool.command(&["list", "--json"]), asking).is_err() {
            self.asking.set(false);
        }
    }
}

/// The predictions in a file. One that is missing or cannot be read has none.
fn kept(file: &Path) -> BTreeMap<String, String> {
    fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The tool's list on its way.
struct Asking {
    progress: Rc<Progress>,
    printed: RefCell<Vec<u8>>,
}

impl Listener for Asking {
    fn line(&self, _: &IoLoop, from: From, line: &[u8]) -> bool {
        if from == From::Output {
            self.printed.borrow_mut().extend_from_slice(line);
        }
        true
    }

    fn ended(&self, ioloop: &IoLoop, _: Option<ExitStatus>) {
        let progress = &self.progress;
        progress.asking.set(false);
        if progress.again.take() {
            // Something has changed since, so this list may be out of date: the next one is shown.
            return progress.refresh(ioloop);
        }
        // A list that cannot be read, because the tool was killed, say, leaves the last one.
        if let Ok(catalogue) = Catalogue::parse(&self.printed.take()) {
            *progress.catalogue.borrow_mut() = catalogue;
            let changed = progress.changed.borrow().clone();
            if let Some(changed) = changed {
                changed(ioloop);
            }
        }
    }
}
