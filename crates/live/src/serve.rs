//! The life of the server: listen, build the book, say where it is, and stop gracefully.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use std::{env, fs};

use httpserver::HttpServer;
use httpserver::guard::{Guard, Token};
use ioloop::IoLoop;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::app::Live;
use crate::book::{Book, News, start_builder};
use crate::browser;
use crate::catalogue::Tool;
use crate::headers;
use crate::hub::Hub;
use crate::options::Options;
use crate::output::complain;
use crate::progress::Progress;
use crate::runs::{Bounds, Runs};
use crate::trace::Trace;

/// The first port that is tried, and how many after it.
const PORTS: (u16, u16) = (4000, 50);

/// How long what runs may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// Serve until SIGINT or SIGTERM.
///
/// # Errors
/// What the reader must be told, in words.
pub fn run(options: &Options, root: &Path, into: &Path) -> Result<(), Box<dyn Error>> {
    let tool = match &options.tool {
        Some(tool) => tool.clone(),
        None => env::current_exe()?.with_file_name("workbook"),
    };
    let tool = Tool::new(tool.clone(), root.to_owned());
    let catalogue = tool.catalogue().map_err(|error| {
        format!("the tool `workbook` does not answer: {error}; start with `cargo workbook serve`")
    })?;
    let (folder, _lock) = own_folder(into)?;
    let token = Token::new()?;
    let ioloop = IoLoop::new()?;
    let (book, trace) = (Book::new(), Trace::new());
    let progress =
        Progress::new(tool.clone(), catalogue, into.join("predictions.json"), options.mine.clone());
    let runs = Runs::new(tool, Bounds::default());
    let hub = Hub::new(Rc::clone(&trace));
    // The guard needs the port, which is known once the server listens; nothing is accepted before the loop runs.
    let live = Rc::new(RefCell::new(None::<Live>));
    let app = Rc::clone(&live);
    let server = headers::guard(HttpServer::new(Shared(app)))?;
    let port = listen(&server, &ioloop, options.port)?;
    *live.borrow_mut() = Some(Live {
        guard: Guard::new(port),
        port,
        token: token.clone(),
        book: Rc::clone(&book),
        progress: Rc::clone(&progress),
        runs: Rc::clone(&runs),
        hub: Rc::clone(&hub),
        trace,
        slow: Rc::new(Cell::new(0)),
    });
    let refreshed = Rc::clone(&progress);
    runs.on_end(move |ioloop| refreshed.refresh(ioloop));
    let listeners = Rc::clone(&hub);
    progress.on_change(move |ioloop| listeners.publish(ioloop, &json!({ "kind": "progress" })));
    let address = format!("http://127.0.0.1:{port}/#t={}", token.reveal());
    let browser = (!options.no_open).then(|| folder.clone());
    let greeting = Greeting { address, browser, done: Cell::new(false), failed: RefCell::default() };
    let greeting = Rc::new(greeting);
    let builder = match &options.built {
        Some(built) => {
            book.take(&json!({ "folder": built, "scripts": {} }))?;
            greeting.say(None);
            None
        }
        None => {
            let (hub, greeting) = (Rc::clone(&hub), Rc::clone(&greeting));
            let hear = move |ioloop: &IoLoop, news| greeting.hear(ioloop, news, &hub, &progress);
            Some(start_builder(&ioloop, root, &folder, options.verdicts.as_deref(), book, hear)?)
        }
    };
    let stopping = Cell::new(false);
    let building = builder.clone();
    ioloop.add_signal_handler(&stop_signals(), move |ioloop, signal| {
        if stopping.replace(true) {
            // Ctrl-C a second time: do not wait for anything.
            if signal == Signal::SIGINT {
                ioloop.stop();
            }
            return;
        }
        complain!("stopping");
        hub.close(ioloop, "The server stops.");
        runs.stop_all(ioloop);
        builder.iter().for_each(|builder| builder.stop());
        server.stop(ioloop, GRACE);
    })?;
    ioloop.start()?;
    building.iter().for_each(|builder| builder.end_now());
    match greeting.failed.take() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The folder in which this server builds the book: below `into` the first that no other server uses, whose pages would be gone
/// while the book is built again. It is this server's for as long as the file is open, whatever ends the server.
fn own_folder(into: &Path) -> Result<(PathBuf, fs::File), String> {
    for number in 1_u32.. {
        let folder = into.join(number.to_string());
        let file = folder.join("lock");
        let lock = fs::create_dir_all(&folder).and_then(|()| fs::File::create(&file));
        let lock =
            lock.map_err(|error| format!("the book cannot be built in {}: {error}", folder.display()))?;
        // Where the file system has no locks, the first is taken.
        if !matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            return Ok((folder, lock));
        }
    }
    Err(format!("no folder below {} is free", into.display()))
}

/// The signals that stop the server. Under nohup SIGHUP is ignored, and behind an `&` in a script SIGINT is: that was meant, and
/// stays so.
fn stop_signals() -> Vec<Signal> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let is_ignored = |signal: &Signal| ignored >> (*signal as i32 - 1) & 1 == 1;
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().filter(|it| !is_ignored(it)).collect()
}

/// The application, which is complete once the port is known.
struct Shared(Rc<RefCell<Option<Live>>>);

impl httpserver::App for Shared {
    fn admit(&self, head: &httpserver::Request, limit: u64) -> Result<u64, httpserver::Response> {
        self.0.borrow().as_ref().map_or(Ok(0), |live| live.admit(head, limit))
    }

    fn handle(&self, ioloop: &IoLoop, request: &httpserver::Request, reply: httpserver::Reply) {
        if let Some(live) = &*self.0.borrow() {
            live.handle(ioloop, request, reply);
        }
    }
}

/// Listen on loopback, with IPv4 and, where there is one, IPv6.
fn listen(server: &HttpServer, ioloop: &IoLoop, wanted: Option<u16>) -> Result<u16, Box<dyn Error>> {
    let (first, more) = wanted.map_or(PORTS, |port| (port, 0));
    for port in first..=first + more {
        let bound = server.listen(ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let port = match bound {
            Ok(address) => address.port(),
            Err(error) if error.errno == Errno::EADDRINUSE && port < first + more => continue,
            Err(error) => {
                return Err(format!(
                    "{error}: does another program use this port? Choose another one: --port"
                )
                .into());
            }
        };
        // A browser that looks up `localhost` may try ::1 first. It is not the address that is printed.
        let _ = server.listen(ioloop, SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        return Ok(port);
    }
    Err("no port is free".into())
}

/// What is printed for the reader.
struct Greeting {
    address: String,
    /// Where there is room for what opens the browser; none if it is not to be opened.
    browser: Option<PathBuf>,
    done: Cell<bool>,
    failed: RefCell<Option<String>>,
}

impl Greeting {
    fn hear(&self, ioloop: &IoLoop, news: News, hub: &Hub, progress: &Rc<Progress>) {
        match news {
            News::Building if !self.done.get() => complain!("Building the book …"),
            News::Building => {}
            News::Built(_, seconds) if !self.done.get() => self.say(Some(seconds)),
            News::Built(pages, _) => {
                if !pages.is_empty() {
                    let page = if let [one] = &pages[..] { Value::from(&**one) } else { Value::Null };
                    hub.publish(ioloop, &json!({ "kind": "reload", "page": page, "pages": pages }));
                }
            }
            News::Failed(error) if !self.done.get() => {
                *self.failed.borrow_mut() = Some(format!("mdBook cannot build the book: {error}"));
                ioloop.stop();
            }
            News::Failed(error) => complain!("The book is served as it was: {error}"),
            News::Saved(exercise) => {
                hub.publish(ioloop, &json!({ "kind": "saved", "exercise": exercise }));
                progress.refresh(ioloop);
            }
            News::Judged => progress.refresh(ioloop),
            News::Gone if !self.done.get() => {
                *self.failed.borrow_mut() = Some("the book's builder has exited".into());
                ioloop.stop();
            }
            News::Gone => complain!("The book's builder has exited: what you change is not built anymore."),
        }
    }

    fn say(&self, seconds: Option<f64>) {
        self.done.set(true);
        let built =
            seconds.map(|seconds| format!("The book is built ({seconds:.1} s). ")).unwrap_or_default();
        let address = &self.address;
        // The reader of a pipe may be gone; the server goes on.
        let _ = writeln!(
            io::stdout(),
            "{built}Read it here; only programs of this machine reach it, and only with this address does it run anything:\n\n  \
             {address}\n\nNext: open the address, choose a prediction on a page with a question, and press Run. Ctrl-C ends."
        );
        if let Some(folder) = &self.browser
            && let Err(error) = browser::open(address, folder)
        {
            complain!("no browser can be opened: {error}");
        }
    }
}
