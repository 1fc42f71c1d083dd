//! What is opened below a folder, on real folders: http.md's kind 16. Every test runs on both ways to look names up.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use httpserver::beneath::Lookup::{Components, Openat2};
use httpserver::beneath::{Found, Root};
use httpserver::path::decode;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, RenameFlags, fcntl, renameat2};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::mkfifo;
use tempfile::TempDir;
use testing::tracer::{self, Call, Kernel};

testing::helper!(helper);

/// A folder `root` with files, beside a folder `root-leak` and a file `secret`.
fn scene() -> TempDir {
    let scene =
        TempDir::new_in(testing::machine::temporary_folder().expect("a folder for temporary files")).unwrap();
    let at = |name: &str| scene.path().join(name);
    for folder in ["root/a/b", "root-leak", "outside/b"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for file in ["root/index", "root/a/one", "root/a/b/two"] {
        fs::write(at(file), format!("inside {file}")).unwrap();
    }
    for file in ["secret", "root-leak/secret", "outside/secret", "outside/b/two"] {
        fs::write(at(file), "outside").unwrap();
    }
    scene
}

/// Runs the test on a scene, for each way to look names up.
fn each(test: impl Fn(&Path, &Root)) {
    let scene = scene();
    for lookup in [Openat2, Components] {
        test(scene.path(), &Root::open_with(&scene.path().join("root"), lookup).unwrap());
    }
}

/// What a lookup gives, in words: the content of a file, `folder`, or an errno.
fn shown(root: &Root, names: &str) -> String {
    match root.find(names) {
        Ok(Found::File(file)) => {
            let mut text = String::new();
            File::from(file.fd).read_to_string(&mut text).unwrap();
            text
        }
        Ok(Found::Folder) => String::from("folder"),
        Err(errno) => format!("{errno:?}"),
    }
}

#[track_caller]
fn shows(root: &Root, rows: &[(&str, &str)]) {
    for (names, expected) in rows {
        assert_eq!(shown(root, names), *expected, "{names:?}, looked up with {:?}", root.lookup());
    }
}

#[test]
fn files_and_folders_below_the_root_are_found() {
    each(|_, root| {
        shows(root, &[("index", "inside root/index"), ("a/b/two", "inside root/a/b/two")]);
        shows(root, &[("", "folder"), ("a", "folder"), ("a/b", "folder")]);
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    each(|_, root| {
        shows(root, &[("x", "ENOENT"), ("a/x", "ENOENT"), ("x/one", "ENOENT"), ("index/x", "ENOTDIR")]);
        shows(root, &[(&*"x".repeat(256), "ENAMETOOLONG")]);
    });
}

#[test]
fn the_state_of_a_file_is_that_of_the_open_descriptor() {
    each(|scene, root| {
        let Ok(Found::File(file)) = root.find("a/one") else { panic!("a/one is a file") };
        fs::rename(scene.join("root/index"), scene.join("root/a/one")).unwrap();
        assert_eq!(fstat(&file.fd).unwrap().st_ino, file.inode, "the state is of another file");
        fs::write(scene.join("root/index"), "inside root/index").unwrap();
    });
}

#[test]
fn descriptors_are_close_on_exec() {
    each(|_, root| {
        let Ok(Found::File(file)) = root.find("a/b/two") else { panic!("a/b/two is a file") };
        let flags = FdFlag::from_bits_retain(fcntl(file.fd.as_fd(), FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC), "a worker that is forked would hold the file open");
    });
}

#[test]
fn names_that_lead_out_are_refused() {
    each(|_, root| {
        for names in
            ["..", "../secret", "../root-leak/secret", "a/../../secret", "a/b/../../../secret", "a/../.."]
        {
            shows(root, &[(names, "EXDEV")]);
        }
    });
}

#[test]
fn absolute_names_are_refused_or_looked_up_below_the_root() {
    each(|scene, root| {
        let secret = scene.join("secret");
        assert_ne!(shown(root, secret.to_str().unwrap()), "outside");
        assert_ne!(shown(root, "/etc/passwd"), fs::read_to_string("/etc/passwd").unwrap());
    });
}

#[test]
fn links_that_stay_below_the_root_are_followed() {
    each(|scene, root| {
        let links = [
            ("root/to-file", "a/one"),
            ("root/to-folder", "a"),
            ("root/a/b/up", "../../index"),
            ("root/slash", "a/"),
            ("root/dot", "./a/./b/."),
            ("root/chain", "to-folder/b/up"),
            ("root/dots", "a/b/.."),
        ];
        for (link, target) in links {
            let _ = fs::remove_file(scene.join(link));
            symlink(target, scene.join(link)).unwrap();
        }
        shows(
            root,
            &[
                ("to-file", "inside root/a/one"),
                ("to-folder/one", "inside root/a/one"),
                ("to-folder", "folder"),
            ],
        );
        shows(
            root,
            &[("a/b/up", "inside root/index"), ("slash/b/two", "inside root/a/b/two"), ("slash", "folder")],
        );
        shows(
            root,
            &[
                ("dot/two", "inside root/a/b/two"),
                ("chain", "inside root/index"),
                ("dots/one", "inside root/a/one"),
            ],
        );
        shows(root, &[("dots", "folder"), ("to-file/x", "ENOTDIR")]);
    });
}

#[test]
fn links_out_of_the_root_are_refused() {
    each(|scene, root| {
        let links = [
            ("root/out", "../secret"),
            ("root/sibling", "../root-leak"),
            ("root/a/deep", "../../secret"),
            ("root/back", "../root/index"),
            ("root/parent", ".."),
            ("root/a/via", "b/../../parent/secret"),
        ];
        for (link, target) in links {
            let _ = fs::remove_file(scene.join(link));
            symlink(target, scene.join(link)).unwrap();
        }
        for names in
            ["out", "sibling", "sibling/secret", "a/deep", "back", "parent", "parent/secret", "a/via"]
        {
            shows(root, &[(names, "EXDEV")]);
        }
    });
}

#[test]
fn absolute_links_are_refused_wherever_they_lead() {
    each(|scene, root| {
        for (link, target) in
            [("root/absolute", "secret"), ("root/inside", "root/index"), ("root/folder", "root/a")]
        {
            let _ = fs::remove_file(scene.join(link));
            symlink(scene.join(target), scene.join(link)).unwrap();
        }
        shows(root, &[("absolute", "EXDEV"), ("inside", "EXDEV"), ("folder/one", "EXDEV")]);
    });
}

#[test]
fn links_in_a_circle_end() {
    each(|scene, root| {
        for (link, target) in
            [("root/self", "self"), ("root/ping", "pong"), ("root/pong", "ping"), ("root/grow", "grow/x")]
        {
            let _ = fs::remove_file(scene.join(link));
            symlink(target, scene.join(link)).unwrap();
        }
        shows(root, &[("self", "ELOOP"), ("ping", "ELOOP"), ("ping/x", "ELOOP"), ("grow", "ELOOP")]);
    });
}

#[test]
fn links_of_proc_are_refused() {
    testing::needs!(proc);
    for lookup in [Openat2, Components] {
        let root = Root::open_with(Path::new("/proc/self"), lookup).unwrap();
        for names in ["root/etc/passwd", "root", "cwd", "exe", "fd/0", "cwd/Cargo.toml"] {
            let found = root.find(names);
            assert!(found.is_err(), "{names} of /proc/self leads out, and {lookup:?} opened it: {found:?}");
        }
        assert!(shown(&root, "status").starts_with("Name:"), "{lookup:?}");
    }
}

/// Opening must return at once. A test that would hang fails after ten seconds.
#[test]
fn a_fifo_without_a_writer_is_not_found_and_does_not_block() {
    let scene = scene();
    mkfifo(&scene.path().join("root/fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    for lookup in [Openat2, Components] {
        let root = Root::open_with(&scene.path().join("root"), lookup).unwrap();
        let (send, receive) = channel();
        thread::spawn(move || send.send(shown(&root, "fifo")));
        let shown = receive.recv_timeout(Duration::from_secs(10));
        assert_eq!(
            shown.as_deref(),
            Ok("ENOENT"),
            "with {lookup:?}: does open wait for a writer of the FIFO?"
        );
    }
}

#[test]
fn sockets_and_devices_are_not_found() {
    each(|scene, root| {
        let _ = fs::remove_file(scene.join("root/socket"));
        let _listener = UnixListener::bind(scene.join("root/socket")).unwrap();
        shows(root, &[("socket", "ENOENT")]);
        let devices = Root::open_with(Path::new("/dev"), root.lookup()).unwrap();
        for device in ["null", "zero", "tty"].iter().filter(|name| Path::new("/dev").join(name).exists()) {
            shows(&devices, &[(device, "ENOENT")]);
        }
    });
}

#[test]
fn the_root_stays_the_same_folder_when_its_path_is_renamed() {
    each(|scene, root| {
        fs::rename(scene.join("root"), scene.join("moved")).unwrap();
        shows(root, &[("index", "inside root/index")]);
        fs::rename(scene.join("moved"), scene.join("root")).unwrap();
    });
}

/// While another thread does `change` again and again, looks the name up 3,000 times, and nothing outside may be read.
fn races(names: &str, change: impl Fn(&Path) + Sync) {
    each(|scene, root| {
        let stop = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    change(scene);
                }
            });
            let seen: BTreeSet<String> = (0..3_000).map(|_| shown(root, names)).collect();
            stop.store(true, Ordering::Relaxed);
            assert!(
                !seen.contains("outside"),
                "{names} was read outside of the root, with {:?}",
                root.lookup()
            );
        });
    });
}

fn exchange(one: &Path, other: &Path) {
    renameat2(nix::fcntl::AT_FDCWD, one, nix::fcntl::AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

#[test]
fn a_folder_that_is_exchanged_for_a_link_out_meanwhile_is_not_followed() {
    races("a/b/two", |scene| {
        // Both ways, so that each round begins as it was.
        let link = scene.join("link");
        if !link.is_symlink() {
            let _ = symlink("../../outside/b", &link);
        }
        exchange(&scene.join("root/a/b"), &link);
        exchange(&scene.join("root/a/b"), &link);
    });
}

#[test]
fn a_folder_that_is_moved_out_meanwhile_does_not_lead_to_its_new_parent() {
    races("a/b/up", |scene| {
        let up = scene.join("root/a/b/up");
        if !up.is_symlink() {
            symlink("../secret", &up).unwrap();
        }
        exchange(&scene.join("root/a/b"), &scene.join("outside/b"));
        exchange(&scene.join("root/a/b"), &scene.join("outside/b"));
    });
}

/// Random links, random paths: what is opened is one of the files that are below the root.
#[test]
fn no_path_opens_anything_outside_the_root_whatever_links_there_are() {
    const PARTS: &[&str] = &[
        "..",
        ".",
        "a",
        "b",
        "one",
        "two",
        "index",
        "secret",
        "root",
        "root-leak",
        "l0",
        "l1",
        "a/l2",
        "%2e%2e",
        "%2f",
        "",
    ];
    let scene = scene();
    let root = scene.path().join("root");
    let roots = [Openat2, Components].map(|lookup| Root::open_with(&root, lookup).unwrap());
    let inside: BTreeSet<u64> =
        ["index", "a/one", "a/b/two"].map(|file| fs::metadata(root.join(file)).unwrap().ino()).into();
    arbtest::arbtest(|random| {
        for link in ["l0", "l1", "a/l2"].map(|name| root.join(name)) {
            let _ = fs::remove_file(&link);
            let mut target = random.choose(&["", "", "", "/"])?.to_string();
            for _ in 0..random.int_in_range(1..=5)? {
                target += random.choose(PARTS)?;
                target.push('/');
            }
            target.truncate(target.len() - usize::from(random.arbitrary::<bool>()?));
            if !target.is_empty() {
                symlink(&target, &link).unwrap();
            }
        }
        for _ in 0..8 {
            let mut path = String::from("/");
            for _ in 0..random.int_in_range(0..=6)? {
                path += random.choose(PARTS)?;
                path.push('/');
            }
            let path = path.trim_end_matches('/');
            // Also names that no request could have: opening has to be safe by itself.
            let names = match decode(path) {
                Ok(name) if random.arbitrary()? => name.names.into_owned(),
                _ => path.trim_start_matches('/').to_owned(),
            };
            let found = roots.each_ref().map(|root| match root.find(&names) {
                Ok(Found::File(file)) => {
                    assert!(
                        inside.contains(&file.inode),
                        "{names:?} opened a file outside, with {:?}",
                        root.lookup()
                    );
                    Ok(Some(file.inode))
                }
                Ok(Found::Folder) => Ok(None),
                Err(errno) => Err(errno),
            });
            let same = match found {
                // Which of several reasons comes first differs.
                [Err(_), Err(_)] => true,
                [one, other] => one == other,
            };
            assert!(same, "{names:?} gives {found:?} with openat2, and component by component");
        }
        Ok(())
    });
}

#[test]
fn this_kernel_is_asked_which_lookup_it_has() {
    let scene = scene();
    let root = Root::open(&scene.path().join("root")).unwrap();
    shows(&root, &[("a/b/two", "inside root/a/b/two"), ("../secret", "EXDEV")]);
}

#[test]
fn without_openat2_names_are_looked_up_component_by_component() {
    for errno in ["ENOSYS", "EPERM"] {
        let Some(answer) = testing::traced(errno, &["find"]) else { return };
        assert_eq!(answer.line("lookup"), "Components", "openat2 fails with {errno}");
        assert_eq!(answer.line("inside"), "inside root/a/b/two", "openat2 fails with {errno}");
        assert_eq!(answer.line("outside"), "EXDEV", "openat2 fails with {errno}");
        assert_eq!(
            answer.lines("call").count(),
            1,
            "a call that this kernel refuses was made for each lookup"
        );
    }
}

#[test]
fn a_root_that_is_no_folder_is_an_error_that_names_it() {
    let scene = scene();
    let error = Root::open(&scene.path().join("root/index")).unwrap_err();
    assert_eq!(error.errno, Errno::ENOTDIR);
    assert!(error.to_string().contains("root/index"), "{error}");
    assert_eq!(Root::open(&scene.path().join("x")).unwrap_err().errno, Errno::ENOENT);
}

/// A kernel, or a sandbox, that refuses openat2.
struct WithoutOpenat2(Errno);

impl Kernel for WithoutOpenat2 {
    fn words(&self, call: &Call) -> Option<String> {
        (call.name == "openat2").then(|| String::from(call.name))
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        (call.name == "openat2").then_some(-(self.0 as i64))
    }
}

fn helper(args: &[&str]) -> i32 {
    let errno = match args {
        ["traced", "ENOSYS", ..] => Errno::ENOSYS,
        ["traced", "EPERM", ..] => Errno::EPERM,
        _ => return 2,
    };
    tracer::run(&mut WithoutOpenat2(errno), || {
        let scene = scene();
        testing::judged(|| {
            let root = Root::open(&scene.path().join("root")).unwrap();
            println!("lookup {:?}", root.lookup());
            println!("inside {}", shown(&root, "a/b/two"));
            println!("outside {}", shown(&root, "a/../../secret"));
        });
        0
    })
}
