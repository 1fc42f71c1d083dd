//! Running the tool: bounded, in a known environment, and with nothing left behind.

use std::io::Read;
use std::marker::PhantomData;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use nix::libc;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use serde_json::Value;

use crate::checkout::Checkout;

/// The real program, in the folder above this test's own: the checkout may have been moved since they were built.
pub fn tool() -> &'static str {
    static TOOL: LazyLock<String> = LazyLock::new(|| {
        let test = env::current_exe().expect("this program");
        let folder = test.ancestors().nth(2).expect("a folder of programs");
        folder.join("workbook").to_str().expect("a path in UTF-8").to_owned()
    });
    TOOL.as_str()
}

/// No call takes as long, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// How it ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// Standard output, which must be JSON and nothing else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}: {self:?}"))
    }

    /// It ended with this status, and said this.
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(self.stdout.contains(word) || self.stderr.contains(word), "no «{word}» in {self:#?}");
        }
        self
    }

    /// It did not say this.
    #[track_caller]
    pub fn without(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(!self.stdout.contains(word) && !self.stderr.contains(word), "«{word}» in {self:#?}");
        }
        self
    }
}

impl Checkout {
    /// Run the tool to its end.
    #[track_caller]
    pub fn workbook(&self, args: &[&str]) -> Said {
        self.run(self.command(args))
    }

    #[track_caller]
    pub fn run(&self, command: Command) -> Said {
        self.start(command).end()
    }

    /// The tool.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(tool(), args)
    }

    /// A program, in an environment in which nothing that surrounds the tests makes a difference.
    pub fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let cargo = name.starts_with("CARGO_") && name != "CARGO_HOME";
            if cargo || name.starts_with("RUST") && !name.starts_with("RUSTUP_") || name.contains("COLOR") {
                command.env_remove(&*name);
            }
        }
        command.env("CARGO_TARGET_DIR", self.target()).env("CARGO_NET_OFFLINE", "true").env("TERM", "xterm");
        command.env("WORKBOOK_TEST_MARK", self.home()).env("WORKBOOK_TEST_RUN", self.next_run());
        // Behind an `&` in a script these are ignored, and a program inherits that.
        let defaults = || {
            for name in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
                // SAFETY: the default disposition runs no code of ours.
                unsafe { signal(name, SigHandler::SigDfl) }?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only sigaction is called.
        unsafe { command.pre_exec(defaults) };
        command
    }

    pub fn start(&self, mut command: Command) -> Started<'_> {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
        let mark =
            command.get_envs().find(|(name, _)| *name == "WORKBOOK_TEST_RUN").and_then(|(_, value)| value);
        let mark = format!("WORKBOOK_TEST_RUN={}", mark.expect("a mark").display());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stdout = Reading::start(stdout.expect("a pipe"));
        let stderr = Reading::start(stderr.expect("a pipe"));
        Started { child, mark, stdout, stderr, checkout: PhantomData }
    }

    /// All processes that the tool started here, in any of its runs.
    fn processes(&self) -> Vec<(Pid, String)> {
        processes(&format!("WORKBOOK_TEST_MARK={}", self.home().display()))
    }

    /// Await a process with these words in its command line.
    #[track_caller]
    pub fn await_process(&self, words: &str) {
        until(&format!("a process «{words}»"), || {
            self.processes().iter().any(|(_, line)| line.contains(words))
        });
    }

    /// Await a file in the test's folder.
    #[track_caller]
    pub fn await_file(&self, name: &str) {
        until(&format!("the file {name}"), || self.home().join(name).exists());
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // After a failed test only: the machine is not to keep what was left behind.
        for (pid, _) in self.processes() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// The tool, running.
pub struct Started<'a> {
    child: Child,
    /// In the environment of every process that it started.
    mark: String,
    stdout: Reading,
    stderr: Reading,
    /// The checkout must not go before.
    checkout: PhantomData<&'a Checkout>,
}

impl Started<'_> {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("the tool is there");
    }

    /// Await that it has opened a file.
    #[track_caller]
    pub fn await_open(&self, path: &Path) {
        until(&format!("{} is open", path.display()), || {
            let entries =
                fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
            entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == path)
        });
    }

    /// What it has printed so far.
    pub fn so_far(&self) -> String {
        self.stdout.so_far()
    }

    /// Await words of the tool's, behind the first `from` bytes of its output. Returns where they end.
    #[track_caller]
    pub fn await_words(&self, words: &str, from: usize) -> usize {
        let place = || self.so_far().get(from..).and_then(|text| text.find(words));
        let what = || format!("«{words}» in:\n{}\n{}", self.so_far(), self.stderr.so_far());
        let deadline = Instant::now() + DEADLINE;
        loop {
            match place() {
                Some(found) => return from + found + words.len(),
                None => assert!(Instant::now() < deadline, "no {}", what()),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Await words of the tool's on the standard error.
    #[track_caller]
    pub fn await_complaint(&self, words: &str) {
        until(&format!("«{words}» on the standard error"), || self.stderr.so_far().contains(words));
    }

    /// Await its end. Nothing that it started may be left then.
    #[track_caller]
    pub fn end(mut self) -> Said {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            if Instant::now() > deadline {
                let processes = processes(&self.mark);
                let _ = self.child.kill();
                panic!("still running: {processes:?}\n{}\n{}", self.so_far(), self.stderr.so_far());
            }
            thread::sleep(Duration::from_millis(5));
        };
        // A process that was killed needs a moment to go.
        let going = Instant::now() + Duration::from_secs(2);
        let mut left = processes(&self.mark);
        while !left.is_empty() && Instant::now() < going {
            thread::sleep(Duration::from_millis(5));
            left = processes(&self.mark);
        }
        for (pid, _) in &left {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        let said = Said { code: status.code(), stdout: self.stdout.end(), stderr: self.stderr.end() };
        assert!(left.is_empty(), "left behind: {left:?} by {said:#?}");
        said.without(&["panicked at crates/workbook/src"]);
        said
    }
}

/// The command lines of all processes with this in their environment. A zombie has none.
fn processes(mark: &str) -> Vec<(Pid, String)> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let text = |pid: i32, name: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let ours = pids.filter(|pid| text(*pid, "environ").split('\0').any(|entry| entry == mark));
    ours.map(|pid| (Pid::from_raw(pid), text(pid, "cmdline").replace('\0', " "))).collect()
}

/// A pipe that is read as it fills.
struct Reading {
    text: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Reading {
    fn start(mut pipe: impl Pipe) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&text);
        let thread = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                into.lock().expect("no thread panics with it").extend_from_slice(&chunk[..length]);
            }
        });
        Self { text, thread }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no thread panics with it")).into_owned()
    }

    fn end(self) -> String {
        self.thread.join().expect("reading does not panic");
        String::from_utf8_lossy(&self.text.lock().expect("no thread panics with it")).into_owned()
    }
}

trait Pipe: Read + Send + 'static {}
impl Pipe for ChildStdout {}
impl Pipe for ChildStderr {}

/// Await a condition, for a while.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "awaited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Have permissions count: root writes wherever it likes, unless it gives that up.
pub fn unprivileged(mut command: Command) -> Command {
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    let give_up = || {
        // SAFETY: prctl takes numbers here and touches no memory of ours. Without root the kernel refuses it, but then nothing needs it.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) };
        Ok(())
    };
    // SAFETY: between fork and exec only prctl is called, a bare system call.
    unsafe { command.pre_exec(give_up) };
    command
}

/// Every element of a JSON array's field of that name.
pub fn names(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("not an array: {list}"));
    list.iter().map(|one| one[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Is this folder free of files with a name that contains these words?
pub fn named(folder: &Path, words: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.contains(words)).collect();
    names.sort();
    names
}
