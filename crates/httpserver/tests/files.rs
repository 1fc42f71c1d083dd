//! Static files over a socket: http.md's kinds 16 to 19, and the rows of Tornado's `StaticFileTest`, by their names where
//! they are asked of a whole response.

#[path = "support/files.rs"]
mod support;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use support::{Answer, Served, TWENTY_SIX};

testing::begin!();

/// The modification time that the tests set: three quarters past a whole second.
fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_700_000_000, 750_000_000)
}

const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

fn set_modified(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A GET of `/robots.txt`, 26 bytes, with these fields.
fn robots(served: &Served, fields: &[(&str, &str)]) -> Answer {
    served.ask("GET", "/robots.txt", fields)
}

#[test]
fn a_file_is_sent_with_its_type_and_its_validators() {
    testing::needs!(loopback);
    let served = Served::new();
    set_modified(&served.root.join("robots.txt"), modified());
    let answer = robots(&served, &[]);
    assert_eq!((answer.status, answer.body.as_slice()), (200, TWENTY_SIX.as_bytes()));
    assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.field("Content-Length"), Some("26"));
    assert_eq!(answer.field("Last-Modified"), Some(MODIFIED));
    assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(answer.field("Cache-Control"), Some("no-cache"));
    let tag = answer.field("ETag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, "{tag} is no strong entity tag");
}

#[test]
fn a_large_file_arrives_whole() {
    testing::needs!(loopback);
    let served = Served::new();
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(served.root.join("large.bin"), &content).unwrap();
    let answer = served.ask("GET", "/large.bin", &[]);
    assert_eq!(answer.status, 200);
    assert!(
        answer.body == content,
        "{} bytes arrived, and they are not those of the file",
        answer.body.len()
    );
    let part = served.ask("GET", "/large.bin", &[("Range", "bytes=100000-2099999")]);
    assert_eq!(part.status, 206);
    assert_eq!(part.field("Content-Range"), Some("bytes 100000-2099999/3000000"));
    assert!(part.body == content[100_000..2_100_000], "the part is another one");
}

#[test]
fn files_and_bytes_alternate_on_one_connection() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::write(served.root.join("large.bin"), vec![7; 100_000]).unwrap();
    let targets = ["/robots.txt", "/large.bin", "/nothing", "/large.bin", "/robots.txt"];
    let answers = served.pipelined(&targets.map(|target| ("GET", target)));
    let seen: Vec<_> = answers.iter().map(|answer| (answer.status, answer.body.len())).collect();
    assert_eq!(seen[..2], [(200, 26), (200, 100_000)]);
    assert_eq!((seen[2].0, seen[3], seen[4]), (404, (200, 100_000), (200, 26)));
}

// The rows of Tornado's StaticFileTest.

#[test]
fn tornado_include_host_static_files_have_entity_tags() {
    testing::needs!(loopback);
    let served = Served::new();
    let (one, two) = (robots(&served, &[]), robots(&served, &[]));
    assert_eq!(one.field("ETag"), two.field("ETag"), "the same file has two entity tags");
    let other = served.ask("GET", "/", &[]);
    assert_ne!(one.field("ETag"), other.field("ETag"), "two files have the same entity tag");
}

#[test]
fn tornado_static_304_if_modified_since() {
    testing::needs!(loopback);
    let served = Served::new();
    let date = robots(&served, &[]).field("Last-Modified").unwrap().to_owned();
    let answer = robots(&served, &[("If-Modified-Since", &date)]);
    answer.is_not_modified();
    assert_eq!(answer.field("Content-Length").unwrap_or("26"), "26", "RFC 9110, 8.6: that of a 200, or none");
}

#[test]
fn tornado_static_304_if_none_match() {
    testing::needs!(loopback);
    let served = Served::new();
    let tag = robots(&served, &[]).field("ETag").unwrap().to_owned();
    let answer = robots(&served, &[("If-None-Match", &tag)]);
    answer.is_not_modified();
    assert_eq!(answer.field("ETag"), Some(&*tag));
    assert_eq!(
        answer.field("Vary"),
        Some("Accept-Encoding"),
        "a cache would forget what the answer depends on"
    );
    assert_eq!(answer.field("Cache-Control"), Some("no-cache"));
}

#[test]
fn tornado_static_304_etag_modified_bug() {
    testing::needs!(loopback);
    let served = Served::new();
    let date = robots(&served, &[]).field("Last-Modified").unwrap().to_owned();
    let answer = robots(&served, &[("If-None-Match", "\"MISMATCH\""), ("If-Modified-Since", &date)]);
    assert_eq!(answer.status, 200, "the entity tag differs: the date does not count");
}

#[test]
fn tornado_static_if_modified_since_pre_epoch() {
    testing::needs!(loopback);
    let answer = robots(&Served::new(), &[("If-Modified-Since", "Fri, 01 Jan 1960 00:00:00 GMT")]);
    assert_eq!((answer.status, answer.body.len()), (200, 26));
}

#[test]
fn tornado_static_if_modified_since_time_zone() {
    testing::needs!(loopback);
    let served = Served::new();
    set_modified(&served.root.join("robots.txt"), modified());
    for (date, status) in
        [("Tue, 14 Nov 2023 22:13:19 GMT", 200), (MODIFIED, 304), ("Tue, 14 Nov 2023 22:13:21 GMT", 304)]
    {
        assert_eq!(robots(&served, &[("If-Modified-Since", date)]).status, status, "{date}");
    }
}

#[test]
fn tornado_static_etag_lists_wildcards_and_weak_tags() {
    testing::needs!(loopback);
    let served = Served::new();
    let tag = robots(&served, &[]).field("ETag").unwrap().to_owned();
    for list in
        ["*".to_owned(), format!("W/{tag}"), format!("\"x\", {tag}, \"y\""), format!("W/\"x\",W/{tag}")]
    {
        robots(&served, &[("If-None-Match", &list)]).is_not_modified();
    }
    assert_eq!(robots(&served, &[("If-None-Match", "\"x\", W/\"y\"")]).status, 200);
}

/// A GET with a Range field: the status, the bytes, and Content-Range.
#[track_caller]
fn range(field: &str, status: u16, body: &str, content_range: Option<&str>) {
    let answer = robots(&Served::new(), &[("Range", field)]);
    let seen = (answer.status, String::from_utf8_lossy(&answer.body), answer.field("Content-Range"));
    assert_eq!(seen, (status, body.into(), content_range), "Range: {field}");
    assert!(answer.field("ETag").is_some() && answer.field("Last-Modified").is_some(), "Range: {field}");
}

#[test]
fn tornado_static_with_range() {
    testing::needs!(loopback);
    range("bytes=0-9", 206, "User-agent", Some("bytes 0-9/26"));
}

#[test]
fn tornado_static_with_range_full_file() {
    testing::needs!(loopback);
    range("bytes=0-", 200, TWENTY_SIX, None);
}

#[test]
fn tornado_static_with_range_full_past_end() {
    testing::needs!(loopback);
    range("bytes=0-10000000", 200, TWENTY_SIX, None);
}

#[test]
fn tornado_static_with_range_partial_past_end() {
    testing::needs!(loopback);
    range("bytes=1-10000000", 206, &TWENTY_SIX[1..], Some("bytes 1-25/26"));
}

#[test]
fn tornado_static_with_range_end_edge() {
    testing::needs!(loopback);
    range("bytes=22-", 206, &TWENTY_SIX[22..], Some("bytes 22-25/26"));
}

#[test]
fn tornado_static_with_range_neg_end() {
    testing::needs!(loopback);
    range("bytes=-4", 206, &TWENTY_SIX[22..], Some("bytes 22-25/26"));
}

#[test]
fn tornado_static_invalid_range_is_ignored() {
    testing::needs!(loopback);
    range("asdf", 200, TWENTY_SIX, None);
}

#[test]
fn tornado_static_unsatisfiable_ranges() {
    testing::needs!(loopback);
    let served = Served::new();
    for field in ["bytes=-0", "bytes=26", "bytes=26-", "bytes=999999-"] {
        let answer = robots(&served, &[("Range", field)]);
        assert_eq!(
            (answer.status, answer.field("Content-Range")),
            (416, Some("bytes */26")),
            "Range: {field}"
        );
    }
}

#[test]
fn tornado_static_range_if_none_match() {
    testing::needs!(loopback);
    let served = Served::new();
    let tag = robots(&served, &[]).field("ETag").unwrap().to_owned();
    let answer = robots(&served, &[("Range", "bytes=0-9"), ("If-None-Match", &tag)]);
    answer.is_not_modified();
    assert_eq!(answer.field("Content-Range"), None);
}

#[test]
fn tornado_static_head() {
    testing::needs!(loopback);
    let answer = served_head("/robots.txt", &[]);
    assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("26")));
}

#[test]
fn tornado_static_head_with_a_range_is_the_head_of_the_whole_file() {
    testing::needs!(loopback);
    // RFC 9110, 14.2: a Range field counts only for GET. Tornado answers 206.
    let answer = served_head("/robots.txt", &[("Range", "bytes=1-4")]);
    assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("26")));
}

fn served_head(target: &str, fields: &[(&str, &str)]) -> Answer {
    let answer = Served::new().ask("HEAD", target, fields);
    assert_eq!(answer.body, b"", "a HEAD has no body");
    answer
}

#[test]
fn tornado_static_404() {
    testing::needs!(loopback);
    assert_eq!(Served::new().ask("GET", "/blarg", &[]).status, 404);
}

#[test]
fn tornado_path_traversal_protection() {
    testing::needs!(loopback);
    let served = Served::new();
    for target in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/a/../../secret",
        "/..%5csecret",
        "/..%c0%afsecret",
        "/%252e%252e/secret",
        "/../root-leak/secret",
        "//etc/passwd",
        "///etc/passwd",
        "/%2fetc/passwd",
        "/robots.txt%00.html",
        "/link-out",
        "/link-out-folder/secret",
        "/absolute-link",
    ] {
        let answer = served.ask("GET", target, &[]);
        assert!(matches!(answer.status, 400 | 404), "{target} is answered with {}", answer.status);
        assert!(!answer.contains("outside") && !answer.contains("root:"), "{target} leaves the root");
    }
}

#[test]
fn tornado_absolute_static_path_is_below_the_root() {
    testing::needs!(loopback);
    let served = Served::new();
    let secret = served.root.parent().unwrap().join("secret");
    let answer = served.ask("GET", secret.to_str().unwrap(), &[]);
    assert_eq!(answer.status, 404, "an absolute path is one below the root");
}

// What this server does otherwise.

#[test]
fn head_has_the_fields_of_get() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::write(served.root.join("large.bin"), vec![7; 100_000]).unwrap();
    let targets = ["/", "/robots.txt", "/large.bin", "/a", "/nothing", "/%00", "/..", "/empty"];
    for target in targets {
        let (get, head) = (served.ask("GET", target, &[]), served.ask("HEAD", target, &[]));
        assert_eq!(head.body, b"", "HEAD {target} has a body");
        assert_eq!(head.status, get.status, "HEAD {target}");
        assert_eq!(head.fields_without_date(), get.fields_without_date(), "HEAD {target} differs from GET");
    }
}

#[test]
fn an_index_is_sent_for_a_folder_with_a_slash() {
    testing::needs!(loopback);
    let served = Served::new();
    for (target, body) in [("/", "the index"), ("/a/", "the index of a"), ("/?q=1", "the index")] {
        let answer = served.ask("GET", target, &[]);
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
        assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"), "{target}");
    }
    assert_eq!(served.ask("GET", "/b/", &[]).status, 404, "b has no index, and its names are not listed");
    assert_eq!(served.ask("GET", "/robots.txt/", &[]).status, 404, "robots.txt is no folder");
}

#[test]
fn a_folder_without_a_slash_is_redirected() {
    testing::needs!(loopback);
    let served = Served::new();
    for (target, location) in [("/a", "/a/"), ("/a?q=1&r", "/a/?q=1&r"), ("/%61", "/%61/"), ("/b/c", "/b/c/")]
    {
        let answer = served.ask("GET", target, &[]);
        assert_eq!((answer.status, answer.field("Location")), (301, Some(location)), "{target}");
    }
}

#[test]
fn no_redirect_leads_to_another_host() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::create_dir_all(served.root.join("example.org")).unwrap();
    for target in
        ["//example.org", "//example.org/..", "/%2fexample.org", "/%5cexample.org", "/a/..//example.org"]
    {
        let answer = served.ask("GET", target, &[]);
        assert_eq!(answer.field("Location"), None, "{target}");
    }
}

#[test]
fn the_404_page_of_the_root_is_sent() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::write(served.root.join("404.html"), "not here").unwrap();
    for target in ["/nothing", "/a/b/c", "/..", "/b/"] {
        let answer = served.ask("GET", target, &[("Range", "bytes=0-1"), ("If-None-Match", "*")]);
        assert_eq!((answer.status, answer.text()), (404, "not here"), "{target}");
        assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"), "{target}");
        assert_eq!(answer.field("ETag"), None, "{target}: a cache would take this page for the file");
    }
}

#[test]
fn a_404_page_that_is_too_long_is_not_sent_in_part() {
    testing::needs!(loopback);
    let served = Served::new();
    let megabyte = 1024 * 1024;
    for (length, sent) in [(megabyte, megabyte), (megabyte + 1, "There is no such file.\n".len())] {
        fs::write(served.root.join("404.html"), vec![b'x'; length]).unwrap();
        let answer = served.ask("GET", "/nothing", &[]);
        assert_eq!(
            (answer.status, answer.text().len()),
            (404, sent),
            "a 404.html of {length} bytes: it is read into memory, up to a megabyte. A longer one is replaced by a text, because \
             a page that is cut looks whole to the client"
        );
    }
}

#[test]
fn only_get_and_head_are_answered() {
    testing::needs!(loopback);
    let served = Served::new();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "BREW"] {
        let answer = served.ask(method, "/robots.txt", &[("Content-Length", "0")]);
        assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD")), "{method}");
        assert!(!answer.text().contains("User-agent"), "{method}");
    }
}

#[test]
fn a_fifo_a_socket_and_an_unreadable_folder_do_not_stop_the_others() {
    testing::needs!(loopback);
    let served = Served::new();
    mkfifo(&served.root.join("fifo"), Mode::S_IRUSR).unwrap();
    assert_eq!(served.ask("GET", "/fifo", &[]).status, 404);
    assert_eq!(robots(&served, &[]).status, 200, "the server hangs in the FIFO");
}

#[test]
fn a_file_that_is_written_twice_in_a_second_is_sent_twice() {
    testing::needs!(loopback);
    let served = Served::new();
    let page = served.root.join("page.html");
    fs::write(&page, "one").unwrap();
    set_modified(&page, modified());
    let first = served.ask("GET", "/page.html", &[]);
    fs::write(&page, "two").unwrap();
    set_modified(&page, modified() + Duration::from_nanos(1));
    let fields = [("If-None-Match", first.field("ETag").unwrap()), ("If-Modified-Since", MODIFIED)];
    let second = served.ask("GET", "/page.html", &fields);
    assert_eq!((second.status, second.text()), (200, "two"), "same length, same second, other content");
}

#[test]
fn a_file_that_is_replaced_by_one_of_the_same_age_has_another_entity_tag() {
    testing::needs!(loopback);
    let served = Served::new();
    let (page, other) = (served.root.join("page.html"), served.root.join("other.html"));
    for (path, content) in [(&page, "one"), (&other, "two")] {
        fs::write(path, content).unwrap();
        set_modified(path, modified());
    }
    let first = served.ask("GET", "/page.html", &[]);
    fs::rename(&other, &page).unwrap();
    let second = served.ask("GET", "/page.html", &[("If-None-Match", first.field("ETag").unwrap())]);
    assert_eq!((second.status, second.text()), (200, "two"));
}

#[test]
fn if_range_with_another_tag_gets_the_whole_file() {
    testing::needs!(loopback);
    let served = Served::new();
    let tag = robots(&served, &[]).field("ETag").unwrap().to_owned();
    for (if_range, status) in [(&*tag, 206), ("\"x\"", 200), (&format!("W/{tag}"), 200), (MODIFIED, 200)] {
        let answer = robots(&served, &[("Range", "bytes=1-4"), ("If-Range", if_range)]);
        assert_eq!(answer.status, status, "If-Range: {if_range}");
    }
}

#[test]
fn a_file_that_has_changed_fails_its_precondition() {
    testing::needs!(loopback);
    let served = Served::new();
    assert_eq!(robots(&served, &[("If-Match", "\"x\"")]).status, 412);
    assert_eq!(robots(&served, &[("If-Unmodified-Since", "Tue, 14 Nov 2000 22:13:20 GMT")]).status, 412);
    assert_eq!(robots(&served, &[("If-Match", "*")]).status, 200);
}

#[test]
fn a_compressed_variant_is_sent_to_whom_accepts_it() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::write(served.root.join("robots.txt.gz"), "gzipped").unwrap();
    fs::write(served.root.join("robots.txt.br"), "brotli").unwrap();
    let rows =
        [("gzip", "gzipped", Some("gzip")), ("gzip, br", "brotli", Some("br")), ("zstd", TWENTY_SIX, None)];
    let plain = robots(&served, &[]);
    assert_eq!((plain.text(), plain.field("Content-Encoding")), (TWENTY_SIX, None));
    for (accepted, body, coding) in rows {
        let answer = robots(&served, &[("Accept-Encoding", accepted)]);
        assert_eq!((answer.text(), answer.field("Content-Encoding")), (body, coding), "{accepted}");
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"), "{accepted}");
        assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"), "{accepted}");
        assert_eq!(
            answer.field("ETag") == plain.field("ETag"),
            coding.is_none(),
            "{accepted}: the entity tag"
        );
    }
    assert_eq!(plain.field("Vary"), Some("Accept-Encoding"), "a cache would send these bytes to everyone");
}

#[test]
fn two_fields_that_name_codings_are_one_list() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::write(served.root.join("robots.txt.gz"), "gzipped").unwrap();
    for (fields, body) in [
        ([("Accept-Encoding", "*"), ("Accept-Encoding", "gzip;q=0")], TWENTY_SIX),
        ([("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")], "gzipped"),
    ] {
        assert_eq!(robots(&served, &fields).text(), body, "{fields:?}: RFC 9110, 5.3");
    }
}

#[test]
fn a_compressed_variant_that_is_older_than_its_file_is_not_sent() {
    testing::needs!(loopback);
    let served = Served::new();
    let variant = served.root.join("robots.txt.gz");
    fs::write(&variant, "an older version").unwrap();
    set_modified(&variant, modified());
    assert_eq!(robots(&served, &[("Accept-Encoding", "gzip")]).text(), TWENTY_SIX);
}

#[test]
fn a_compressed_variant_that_is_a_link_out_is_not_sent() {
    testing::needs!(loopback);
    let served = Served::new();
    symlink("../secret", served.root.join("robots.txt.gz")).unwrap();
    assert_eq!(robots(&served, &[("Accept-Encoding", "gzip")]).text(), TWENTY_SIX);
}

#[test]
fn an_image_has_no_compressed_variants() {
    testing::needs!(loopback);
    let served = Served::new();
    fs::write(served.root.join("a.png"), "png").unwrap();
    fs::write(served.root.join("a.png.gz"), "gzipped").unwrap();
    let answer = served.ask("GET", "/a.png", &[("Accept-Encoding", "gzip")]);
    assert_eq!((answer.text(), answer.field("Vary")), ("png", None));
}

#[test]
fn an_empty_file_is_sent_with_nothing() {
    testing::needs!(loopback);
    let served = Served::new();
    for field in ["bytes=0-", "bytes=-5", "bytes=-0", "bytes=5-"] {
        let answer = served.ask("GET", "/empty", &[("Range", field)]);
        assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("0")), "Range: {field}");
    }
}

#[test]
fn a_file_of_proc_is_sent_with_its_content_and_without_validators() {
    testing::needs!(loopback, proc);
    let served = Served::of(Path::new("/proc"));
    let answer = served.ask("GET", "/version", &[("Range", "bytes=0-1")]);
    assert_eq!((answer.status, &answer.body), (200, &fs::read("/proc/version").unwrap()));
    assert_eq!(
        (answer.field("ETag"), answer.field("Last-Modified"), answer.field("Accept-Ranges")),
        (None, None, None)
    );
    assert_eq!(served.ask("GET", "/self/root/etc/passwd", &[]).status, 404);
}

#[test]
fn a_file_of_sys_is_as_long_as_what_can_be_read() {
    testing::needs!(loopback);
    let Ok(content) = fs::read("/sys/kernel/profiling").or_else(|_| fs::read("/sys/kernel/uevent_seqnum"))
    else {
        testing::skip!("there is neither /sys/kernel/profiling nor /sys/kernel/uevent_seqnum");
    };
    let served = Served::of(Path::new("/sys/kernel"));
    let name = if Path::new("/sys/kernel/profiling").exists() { "/profiling" } else { "/uevent_seqnum" };
    let answer = served.ask("GET", name, &[]);
    assert_eq!(
        (answer.status, answer.field("ETag")),
        (200, None),
        "the kernel says 4096 bytes, and there are fewer"
    );
    assert_eq!(answer.body.len(), content.len());
}

#[test]
fn a_file_from_before_1970_or_from_the_future_is_sent() {
    testing::needs!(loopback);
    let served = Served::new();
    let file = served.root.join("robots.txt");
    set_modified(&file, UNIX_EPOCH - Duration::from_millis(1500));
    assert_eq!(robots(&served, &[]).status, 200);
    set_modified(&file, SystemTime::now() + Duration::from_secs(1_000_000));
    let answer = robots(&served, &[]);
    let parse = |name| httpdate::parse_http_date(answer.field(name).unwrap()).unwrap();
    assert!(parse("Last-Modified") <= parse("Date"), "a file cannot have been modified after the response");
}

#[test]
fn no_file_was_modified_after_its_response() {
    testing::needs!(loopback);
    let served = Served::new();
    let file = served.root.join("robots.txt");
    set_modified(&file, SystemTime::now() + Duration::from_secs(1_000_000));
    for _ in 0..3 {
        // Both fields count in seconds, so two clocks differ at the end of a second.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(now.subsec_nanos()));
        thread::sleep(rest.saturating_sub(Duration::from_millis(5)));
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(20) {
            let answer = robots(&served, &[]);
            let parse = |name| httpdate::parse_http_date(answer.field(name).unwrap()).unwrap();
            assert!(
                parse("Last-Modified") <= parse("Date"),
                "Last-Modified is {:?}, which is later than Date, {:?}: RFC 9110, 8.8.2.1. Are both from the same clock, and is Date \
                 read last?",
                answer.field("Last-Modified"),
                answer.field("Date")
            );
        }
    }
}

#[test]
fn a_file_that_is_truncated_during_the_response_closes_the_connection() {
    testing::needs!(loopback);
    let served = Served::new();
    let path = served.root.join("large.bin");
    let file = File::create(&path).unwrap();
    file.set_len(200 << 20).unwrap();
    let mut client = served.connect();
    client.send("GET", "/large.bin", &[]);
    client.send("GET", "/robots.txt", &[]);
    client.head();
    file.set_len(0).unwrap();
    let rest = client.rest();
    assert!(
        rest.len() < 200 << 20,
        "the whole file arrived, although it was truncated: the test came too late"
    );
    let reused = rest.windows(5).any(|bytes| bytes == b"HTTP/");
    assert!(!reused, "the next response lies in the {} bytes that were announced as the file", 200 << 20);
    assert_eq!(robots(&served, &[]).status, 200, "others are answered");
}

#[test]
fn a_file_that_vanishes_during_the_response_is_sent_to_its_end() {
    testing::needs!(loopback);
    let served = Served::new();
    let path = served.root.join("large.bin");
    fs::write(&path, vec![7; 30 << 20]).unwrap();
    let mut client = served.connect();
    client.send("GET", "/large.bin", &[]);
    let head = client.head();
    fs::remove_file(&path).unwrap();
    assert_eq!((head.status, client.body(30 << 20).len()), (200, 30 << 20));
    client.send("GET", "/large.bin", &[]);
    assert_eq!(client.answer().status, 404, "the connection is used again");
}

#[test]
fn a_client_that_does_not_read_its_file_stops_no_other() {
    testing::needs!(loopback);
    let served = Served::new();
    File::create(served.root.join("large.bin")).unwrap().set_len(200 << 20).unwrap();
    let mut slow = served.connect();
    slow.send("GET", "/large.bin", &[]);
    slow.head();
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(robots(&served, &[]).status, 200);
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "a hundred small files took {:?}",
        started.elapsed()
    );
    assert_eq!(slow.body(200 << 20).len(), 200 << 20);
}

#[test]
fn clients_that_leave_during_a_file_leave_no_descriptor_behind() {
    testing::needs!(loopback, proc);
    let served = Served::new();
    File::create(served.root.join("large.bin")).unwrap().set_len(200 << 20).unwrap();
    for _ in 0..20 {
        let mut client = served.connect();
        client.send("GET", "/large.bin", &[]);
        client.head();
    }
    let open = || {
        let links = fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok());
        let path = served.root.join("large.bin");
        links.filter(|link| *link == path).count()
    };
    // The server hears of the last ones in its next iterations; a request is at least one.
    let deadline = Instant::now() + Duration::from_secs(10);
    while open() > 0 && Instant::now() < deadline {
        robots(&served, &[]);
        thread::yield_now();
    }
    assert_eq!(open(), 0, "files are still open for clients that have left");
}

#[test]
fn no_cache_keeps_that_a_file_is_not_there() {
    testing::needs!(loopback);
    let served = Served::new();
    for (method, target, status) in
        [("GET", "/x", 404), ("GET", "/a", 301), ("POST", "/", 405), ("HEAD", "/x", 404)]
    {
        let answer = served.ask(method, target, &[]);
        assert_eq!(
            (answer.status, answer.field("Cache-Control")),
            (status, Some("no-store")),
            "{method} {target}"
        );
    }
}
