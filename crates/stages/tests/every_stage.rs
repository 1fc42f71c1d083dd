//! What every stage does: serve a client, name the programs, say how one failed, leave nothing running.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use support::{Client, MORE, Stage, from};

mod support;

fn on_each(body: impl Fn(Stage)) {
    for n in from(1) {
        eprintln!("stage {n}");
        body(Stage::start(n));
    }
}

#[test]
fn a_client_gets_what_the_program_prints_and_end_of_file() {
    testing::needs!(loopback, pidfd);
    on_each(|stage| {
        assert_eq!(stage.ask("upper\nhello\n"), "HELLO\n");
        assert_eq!(stage.ask("count\nhello"), "5\n");
        assert_eq!(stage.ask("sort\nb\nc\na\n"), "a\nb\nc\n");
        assert_eq!(stage.ask("upper\n"), "", "no input, no output");
        assert_eq!(stage.ask("count"), "0\n", "a name without its newline is a name too");
        stage.end();
    });
}

#[test]
fn input_that_the_program_only_counts_may_be_long() {
    testing::needs!(loopback, pidfd);
    on_each(|stage| {
        let request = ["count\n".as_bytes(), &[b'x'; 1 << 20]].concat();
        assert_eq!(stage.ask(request), "1048576\n");
        stage.end();
    });
}

#[test]
fn a_request_may_come_in_pieces() {
    testing::needs!(loopback, pidfd);
    on_each(|stage| {
        let client = stage.connect();
        for piece in ["up", "per", "\nhel", "lo"] {
            client.send(piece);
        }
        client.gets_nothing("the request has not ended");
        client.finish();
        assert_eq!(client.rest(), "HELLO");
        stage.end();
    });
}

#[test]
fn an_unknown_name_gets_one_line_of_error() {
    testing::needs!(loopback, pidfd);
    on_each(|stage| {
        assert_eq!(stage.ask("lower\nHELLO"), "no program is called \"lower\"\n");
        assert_eq!(stage.ask("\nHELLO"), "no program is called \"\"\n");
        assert_eq!(stage.ask(""), "no program is called \"\"\n");
        assert_eq!(stage.ask([0xff, b'\n']), "no program is called \"\u{fffd}\"\n");
        stage.end();
    });
}

#[test]
fn the_file_has_more_programs_and_a_program_that_fails_says_how() {
    testing::needs!(loopback, pidfd);
    for n in from(1) {
        let stage = Stage::with_more(n, MORE);
        assert_eq!(stage.ask("greet\nyou\n"), "hello you\n");
        assert_eq!(stage.ask("fails\n"), "so far\nexit status 3\n");
        assert_eq!(stage.ask("dies\n"), "killed by SIGKILL\n");
        assert_eq!(
            stage.ask("ends\n"),
            "killed by a real-time signal\n",
            "waitpid of nix reaps it and returns EINVAL"
        );
        assert_eq!(stage.ask("upper\nhello\n"), "HELLO\n", "the table comes first");
        stage.end();
    }
}

#[test]
fn a_program_need_not_read_its_input() {
    testing::needs!(loopback, pidfd);
    for n in from(1) {
        let stage = Stage::with_more(n, MORE);
        let request = ["ignores\n".as_bytes(), &[b'x'; 1 << 20]].concat();
        assert_eq!(stage.ask(request), "done\n");
        stage.end();
    }
}

#[test]
fn a_client_that_leaves_does_not_end_the_server() {
    testing::needs!(loopback, pidfd);
    on_each(|stage| {
        drop(stage.connect());
        let client = stage.connect();
        client.send("sort\nx");
        drop(client);
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        stage.end();
    });
}

#[test]
fn ctrl_c_ends_the_server_and_its_programs() {
    testing::needs!(loopback, pidfd);
    // A shell starts a background job with SIGINT ignored, and the stage would inherit that.
    // SAFETY: the default action replaces no handler of this program.
    unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }.expect("SIGINT has a default action");
    on_each(|mut stage| {
        // The program waits for its input; then the server has started it for certain.
        let client: Client = stage.connect();
        client.send("count\nhello");
        client.finish();
        assert_eq!(client.rest(), "5\n");
        stage.interrupt();
        assert!(stage.all_exit(), "a process outlived SIGINT");
    });
}

#[test]
fn blocked_and_ignored_signals_are_not_inherited() {
    testing::needs!(loopback, pidfd);
    for n in from(1) {
        let mut stage = Stage::with(n, "/dev/null", |command| {
            let prepare = || {
                SigSet::all().thread_set_mask()?;
                // SAFETY: SIG_IGN runs no code.
                unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
                Ok(())
            };
            // SAFETY: the closure makes two system calls, so it may run between fork and exec.
            unsafe { command.pre_exec(prepare) };
        });
        assert_eq!(
            stage.ask("upper\nhello"),
            "HELLO",
            "stage {n} reaps its program although SIGCHLD was ignored"
        );
        stage.terminate();
        assert!(stage.all_exit(), "stage {n} ignored SIGTERM, which was blocked when it started");
    }
}

#[test]
fn a_full_output_does_not_end_the_server() {
    testing::needs!(loopback, pidfd);
    for n in from(1) {
        // A lookup in a file that does not exist fails, and the server reports that.
        let stage = Stage::with(n, "/nonexistent", |command| {
            command
                .stderr(File::options().write(true).open("/dev/full").expect("a device that is always full"));
        });
        assert_eq!(stage.ask("lower\nHELLO"), "", "stage {n}: a client that is not served");
        assert_eq!(stage.ask("upper\nhello"), "HELLO", "stage {n} serves the next client");
        stage.end();
    }
    for args in [&["--help"][..], &["1", "65536"]] {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >/dev/full 2>&1"]).arg(testing::program!("stage")).args(args);
        let status = command.status().expect("a shell").code();
        assert!(matches!(status, Some(1 | 2)), "stage {args:?} exits with {status:?}, and does not panic");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let wrong: [(&[&str], &str); 6] = [
        (&[], "expected one to three arguments, got 0"),
        (&["1", "0", "/dev/null", "x"], "expected one to three arguments, got 4"),
        (&["0"], "N must be a stage"),
        (&["11"], "N must be a stage"),
        (&["one"], "not \"one\""),
        (&["1", "65536"], "PORT must be 0 to 65535"),
    ];
    for (args, message) in wrong {
        let output =
            Command::new(testing::program!("stage")).args(args).output().expect("the program `stage`");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "stage {args:?}: {stderr}");
        assert!(
            stderr.contains(message) && stderr.contains("usage: stage"),
            "stage {args:?} says {stderr:?}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    testing::needs!(pidfd);
    on_each(|stage| {
        let port = stage.address.port().to_string();
        for n in from(1) {
            let output = Command::new(testing::program!("stage")).args([&n.to_string(), &port]).output();
            let output = output.expect("the program `stage`");
            assert_eq!(output.status.code(), Some(1), "stage {n}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("Address already in use"), "{output:?}");
        }
        stage.end();
    });
}

#[test]
fn a_stage_has_at_most_120_lines() {
    for n in from(1).chain(stages::HTTP.map(|(number, _)| number)) {
        let path = format!("src/stage_{n}.rs");
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines = source.lines().filter(|line| !line.contains("ANCHOR")).count();
        assert!(lines <= 120, "{path} has {lines} lines. The book promises at most 120");
    }
}

#[test]
fn the_client_of_the_command_line_sends_its_input_and_prints_the_answer() {
    testing::needs!(loopback, pidfd);
    on_each(|stage| {
        let port = stage.address.port().to_string();
        let mut client = Command::new(testing::program!("stage"));
        client.args(["ask", &port, "upper"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.spawn().expect("it starts");
        client.stdin.take().expect("a pipe").write_all(b"hello\n").expect("it reads");
        let output = client.wait_with_output().expect("it is a child");
        assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"HELLO\n"[..], Some(0)));
        stage.end();
    });
}

#[test]
fn the_client_says_that_no_server_is_there() {
    testing::needs!(loopback);
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = free.local_addr().expect("it is bound").port().to_string();
    drop(free);
    let mut client = Command::new(testing::program!("stage"));
    let output = client.args(["ask", &port, "upper"]).stdin(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("stage ask {port} upper: Connection refused")), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
