//! Which paths name a file below a folder: http.md's kind 16, the attempts to leave the folder.

use httpserver::path::{Refused, decode};

testing::begin!();

/// Decodes each path and compares: the names, and whether the path is one of a folder.
#[track_caller]
fn names(rows: &[(&str, &str, bool)]) {
    for (path, names, folder) in rows {
        let name = decode(path).unwrap_or_else(|refused| panic!("{path:?} is refused as {refused:?}"));
        assert_eq!((&*name.names, name.folder), (*names, *folder), "{path:?} names another file");
    }
}

#[track_caller]
fn refused(reason: Refused, paths: &[&str]) {
    for path in paths {
        assert_eq!(decode(path), Err(reason), "{path:?}");
    }
}

#[test]
fn a_path_is_names_between_slashes() {
    names(&[
        ("/", "", true),
        ("/a", "a", false),
        ("/a/b.html", "a/b.html", false),
        ("/a/", "a", true),
        ("/a/b/", "a/b", true),
        ("/...", "...", false),
        ("/.a", ".a", false),
        ("/a..b", "a..b", false),
    ]);
}

#[test]
fn percent_signs_are_decoded_once() {
    names(&[
        ("/a%20b", "a b", false),
        ("/%61", "a", false),
        ("/%C3%a9", "é", false),
        ("/a%2520b", "a%20b", false),
        ("/%252e%252e", "%2e%2e", false),
        ("/%252e%252e/a", "%2e%2e/a", false),
        ("/a%252fb", "a%2fb", false),
        ("/a%3Fb%23", "a?b#", false),
        ("/a+b", "a+b", false),
    ]);
}

#[test]
fn dot_segments_are_refused_in_every_spelling() {
    let paths = ["/..", "/../a", "/a/..", "/a/../b", "/.", "/./a", "/a/.", "/a/./b", "/../", "/a/../"];
    refused(Refused::NoSuchName, &paths);
    let encoded =
        ["/%2e%2e", "/%2E%2E/a", "/.%2e/a", "/%2e./a", "/a/%2e%2e/%2e%2e/b", "/%2e", "/%2e/a", "/a/%2e%2e/"];
    refused(Refused::NoSuchName, &encoded);
}

#[test]
fn encoded_slashes_and_backslashes_are_refused() {
    refused(Refused::NoSuchName, &["/..%2fa", "/a%2Fb", "/%2f", "/%2f/", "/a%2f", "/%2e%2e%2fetc%2fpasswd"]);
    refused(Refused::NoSuchName, &["/..%5ca", "/a%5Cb", "/..\\a", "/\\", "/%5c%5chost%5cshare", "/a%5c"]);
}

#[test]
fn empty_segments_are_refused() {
    refused(
        Refused::NoSuchName,
        &["//", "///", "//a", "/a//b", "/a//", "//example.org/", "//example.org/.."],
    );
}

#[test]
fn nul_bytes_are_refused() {
    refused(Refused::Malformed, &["/%00", "/a%00", "/a%00.html", "/a/%00/../b", "/a\0b"]);
}

#[test]
fn invalid_utf_8_is_refused() {
    // Among them the overlong forms of a dot and of a slash.
    refused(Refused::Malformed, &["/%ff", "/%c3", "/%c3/a", "/%c0%ae%c0%ae", "/..%c0%af", "/%ed%a0%80"]);
}

#[test]
fn broken_escapes_are_refused() {
    refused(Refused::Malformed, &["/%", "/%2", "/a%", "/%zz", "/%2g", "/%+1", "/%u002e", "/%%32e"]);
}

#[test]
fn what_does_not_begin_with_a_slash_is_refused() {
    refused(Refused::Malformed, &["", "*", "a", "..", "http://h/a", "C:\\a", "%2fa"]);
}

#[test]
fn no_name_leaves_its_folder_whatever_the_path() {
    arbtest::arbtest(|random| {
        const PARTS: &[&str] = &[
            "/", ".", "..", "%2e", "%2f", "%5c", "\\", "%00", "%25", "%c0%ae", "%", "a", "é", "%C3%A9",
            "/..", "2e",
        ];
        let mut path = String::new();
        for _ in 0..random.int_in_range(0..=12)? {
            path += random.choose(PARTS)?;
        }
        if let Ok(name) = decode(&path) {
            assert!(!name.names.contains(['\0', '\\']), "{path:?} names {name:?}");
            let is_name = |part: &str| !matches!(part, "" | "." | "..");
            assert!(path == "/" || name.names.split('/').all(is_name), "{path:?} names {name:?}");
            assert_eq!(name.names.is_empty(), path == "/", "{path:?} names {name:?}");
        }
        Ok(())
    });
}
