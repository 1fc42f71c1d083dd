//! What surrounds the checkout: where cargo builds, what was inherited, temporary folders, line ends, other places.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

use crate::checkout::{ADD_SOLVED, Checkout, ReadOnly, TWICE_SOLVED};
use crate::tool::unprivileged;

/// Ask this way of naming the target folder: what is remembered is remembered there, and the checkout is not touched.
fn remembers(checkout: &Checkout, target: &Path, way: impl Fn(&mut Command)) {
    checkout.solve("twice", TWICE_SOLVED);
    let workbook = |args: &[&str]| {
        let mut command = unprivileged(checkout.command(args));
        command.env_remove("CARGO_TARGET_DIR");
        way(&mut command);
        checkout.run(command)
    };
    let files = checkout.files();
    let read_only = ReadOnly::make(&checkout.root());
    workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]);
    workbook(&["run", "fd-vanishes"]).expect(0, &[]);
    workbook(&["status"]).expect(0, &["1 of 3 experiments run, 1 of 2 exercises done"]);
    workbook(&["hint", "add"]).expect(0, &["hint 1 of 3"]).without(&["begin again"]);
    workbook(&["hint", "add"]).expect(0, &["hint 2 of 3"]);
    workbook(&["verify", "twice"]).expect(0, &["3 caught, 0 missed"]);
    assert!(target.join("workbook/verdicts.json").is_file(), "nothing is in {}", target.display());
    drop(read_only);
    assert!(files == checkout.files(), "a file of the checkout changed");
}

#[test]
fn the_target_folder_is_where_cargo_says_by_a_variable() {
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        let checkout = Checkout::new();
        let target = checkout.home().join("ein anderer Ort");
        remembers(&checkout, &target, |command| _ = command.env(variable, &target));
    }
}

#[test]
fn the_target_folder_is_where_cargo_says_by_a_configuration_file() {
    let config = "[build]\ntarget-dir = \"elsewhere\"\n";
    // Beside the checkout's manifest, and in the folder above it, to which the path is relative.
    let checkout = Checkout::new();
    fs::create_dir_all(checkout.root().join("elsewhere")).expect("a folder");
    checkout.write(".cargo/config.toml", "[build]\ntarget-dir = \"../elsewhere\"\n");
    remembers(&checkout, &checkout.home().join("elsewhere"), |_| ());
    let checkout = Checkout::new();
    let above = checkout.home().join(".cargo");
    fs::create_dir(&above).and_then(|()| fs::write(above.join("config.toml"), config)).expect("a file");
    remembers(&checkout, &checkout.home().join("elsewhere"), |_| ());
    // The user's.
    let checkout = Checkout::new();
    let user = checkout.home().join("home");
    let target = checkout.home().join("of the user");
    let text = format!("[build]\ntarget-dir = {:?}\n", target.display().to_string());
    fs::create_dir(&user).and_then(|()| fs::write(user.join("config.toml"), text)).expect("a file");
    remembers(&checkout, &target, |command| _ = command.env("CARGO_HOME", &user));
}

/// Start the tool with every signal ignored that can be, or blocked.
fn with_signals(mut command: Command, ignored: bool) -> Command {
    let inherit = move || {
        if ignored {
            // SAFETY: ignoring a signal runs no code of ours. SIGKILL and SIGSTOP are refused.
            Signal::iterator().for_each(|one| _ = unsafe { signal(one, SigHandler::SigIgn) });
        } else {
            SigSet::all().thread_set_mask()?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only sigaction and sigprocmask are called.
    unsafe { command.pre_exec(inherit) };
    command
}

#[test]
fn inherited_signals_make_no_difference() {
    let checkout = Checkout::new();
    checkout.solve("add", ADD_SOLVED);
    let state = "for line in std::fs::read_to_string(\"/proc/thread-self/status\").unwrap().lines() {
        if let Some(signals) = line.strip_prefix(\"SigIgn:\").or(line.strip_prefix(\"SigBlk:\")) {
            let signals = u64::from_str_radix(signals.trim(), 16).unwrap();
            // Rust itself ignores SIGPIPE, and the C library keeps two signals to itself.
            assert!(signals & !(1 << 12 | 0b11 << 31) == 0, \"{line}\");
        }
    }
    assert!(std::process::Command::new(\"true\").status().unwrap().success());";
    checkout.add_does(state);
    for ignored in [true, false] {
        let said = checkout.run(with_signals(checkout.command(&["check", "add"]), ignored));
        said.expect(0, &["4 of 4 tests pass"]);
        checkout.run(with_signals(checkout.command(&["run", "--all"]), ignored)).expect(1, &["agrees"]);
        checkout.run(with_signals(checkout.command(&["verify"]), ignored)).expect(0, &["6 caught, 0 missed"]);
    }
}

#[test]
fn ctrl_c_arrives_although_it_was_blocked() {
    let checkout = Checkout::new();
    checkout.add_does("if b == -2 { shell(\"sleep 8000; :\", true).wait().unwrap(); }");
    let running = checkout.start(with_signals(checkout.command(&["check", "add"]), false));
    checkout.await_process("sleep 8000");
    running.signal(Signal::SIGINT);
    running.end().expect(130, &["stopped"]);
}

#[test]
fn a_temporary_folder_that_cannot_be_used_is_replaced() {
    let checkout = Checkout::new();
    let writes = |tmpdir: &Path| {
        // A file for each call: several tests add the same number at the same time.
        let body = "assert!(std::env::temp_dir().is_absolute());
        let caller = (std::process::id(), std::thread::current().id());
        let file = std::env::temp_dir().join(format!(\"toy-{caller:?}\"));
        std::fs::write(&file, \"text\").unwrap();
        std::fs::remove_file(&file).unwrap();";
        // Another source each time, which rustc must compile.
        checkout.add_does(&format!("{body} let _ = {:?};", tmpdir.display()));
    };
    let locked = checkout.home().join("locked");
    fs::create_dir(&locked).expect("a folder");
    let _read_only = ReadOnly::make(&locked);
    // A relative path is meant from the folder in which the tool is started.
    fs::create_dir(checkout.path("hier")).expect("a folder");
    for tmpdir in ["/nowhere/at/all", "/dev/null", "hier", ""].map(Path::new).into_iter().chain([&*locked]) {
        writes(tmpdir);
        let mut command = unprivileged(checkout.command(&["check", "add"]));
        command.env("TMPDIR", tmpdir);
        checkout.run(command).expect(0, &["4 of 4 tests pass"]);
    }
}

#[test]
fn what_keeps_rustc_from_its_work_is_not_laid_to_the_readers_code() {
    let checkout = Checkout::new();
    checkout.solve("twice", TWICE_SOLVED);
    let linker = |name: &str| {
        let mut command = checkout.command(&["check", "twice"]);
        command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", name);
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", name);
        checkout.run(command)
    };
    for name in ["/nowhere/cc", "/bin/false"] {
        linker(name).expect(1, &["cargo cannot build here", "link"]).without(&["does not compile", "✗"]);
        // A warning about it changes nothing.
        checkout.solve("twice", &format!("{TWICE_SOLVED}fn unused() {{}}\n// {name}\n"));
        linker(name)
            .expect(1, &["cargo cannot build here", "link", "`unused` is never used", "exercises/twice.rs:"])
            .without(&["does not compile", "✗"]);
    }
    // A function that there is not is the reader's.
    checkout.solve(
        "twice",
        "unsafe extern \"C\" { fn nope() -> i32; }\npub fn twice(_: i32) -> i32 { unsafe { nope() } }",
    );
    linker("cc").expect(1, &["undefined", "nope", "toy/twice does not compile"]);
}

#[test]
fn a_checkout_that_is_moved_or_copied_is_as_it_was() {
    let mut checkout = Checkout::new();
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["check", "add", "twice"]).expect(1, &["✓ toy/add"]);
    checkout.workbook(&["run", "fd-vanishes"]).expect(0, &[]);
    checkout.workbook(&["hint", "add"]).expect(0, &["hint 1 of 3"]);
    checkout.move_to("moved to here");
    checkout.workbook(&["status"]).expect(0, &["1 of 3 experiments run, 1 of 2 exercises done"]);
    checkout.workbook(&["hint", "add"]).expect(0, &["hint 2 of 3"]);
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]);
    // The program that the copy's shortcut would build is the first one's.
    let copied = checkout.program("/bin/cp", &["-a", ".", "../the copy"]);
    checkout.run(copied).expect(0, &[]);
    checkout.solve("twice", "not even Rust");
    checkout.move_to("the first one");
    checkout.stand_in("the copy");
    checkout.workbook(&["check", "twice", "add"]).expect(0, &["✓ toy/twice", "✓ toy/add"]);
    checkout.solve("twice", &TWICE_SOLVED.replace("a + a", "a * a"));
    checkout.workbook(&["check", "twice"]).expect(1, &["twice 3 is 6, not 9"]);
}

#[test]
fn line_ends_of_windows_change_nothing() {
    let unix = Checkout::new();
    let windows = Checkout::new();
    for (path, content) in windows.files() {
        let text = String::from_utf8(content).expect("text");
        fs::write(&path, text.replace('\n', "\r\n")).expect("it can be written");
    }
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["hint", "add"],
        &["check", "add", "twice"],
        &["why", "twice"],
        &["status"],
        &["solution", "add", "--anyway"],
        &["run", "--all"],
        &["verify", "--json"],
    ] {
        let [one, other] = [&unix, &windows].map(|checkout| checkout.workbook(args));
        assert_eq!((one.code, one.stdout), (other.code, other.stdout), "{args:?}");
    }
}
