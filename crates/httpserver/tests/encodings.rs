//! Which content codings a client accepts, and which media types files have.

use httpserver::encodings::{Coding, accepts};
use httpserver::types;

testing::begin!();

#[track_caller]
fn each(values: &[&str], coding: Coding, expected: bool) {
    for value in values {
        assert_eq!(accepts(value.as_bytes(), coding), expected, "Accept-Encoding: {value}, {coding:?}");
    }
}

#[test]
fn a_coding_that_is_named_is_accepted() {
    each(
        &[
            "gzip",
            "GZIP",
            "gzip, br",
            "deflate, gzip;q=0.5",
            "gzip ; q=1",
            "gzip;Q=0.001",
            "br;q=1.0,gzip;q=0.8",
        ],
        Coding::Gzip,
        true,
    );
    each(&["br", "gzip, deflate, br, zstd", "br;q=0.1"], Coding::Brotli, true);
}

#[test]
fn a_coding_that_is_not_named_is_not_accepted() {
    each(&["", "br", "identity", "deflate", "xgzip", "gzipx", "x-gzip", "gzip br"], Coding::Gzip, false);
    each(&["gzip", "brotli", "abr"], Coding::Brotli, false);
}

#[test]
fn a_weight_of_zero_refuses_a_coding() {
    each(&["gzip;q=0", "gzip;q=0.000", "gzip; q=0, *", "*, gzip;q=0", "*;q=0"], Coding::Gzip, false);
}

#[test]
fn a_star_accepts_what_is_not_named() {
    each(&["*", "br, *", "br;q=0, *;q=0.1"], Coding::Gzip, true);
}

#[test]
fn a_weight_that_cannot_be_parsed_refuses_a_coding() {
    each(
        &["gzip;q=", "gzip;q=x", "gzip;q=-1", "gzip;q=2", "gzip;q=NaN", "gzip;level=9"],
        Coding::Gzip,
        false,
    );
    assert!(!accepts(b"gzip\xff", Coding::Gzip));
}

#[test]
fn a_media_type_is_known_by_the_end_of_the_name() {
    for (name, expected) in [
        ("index.html", "text/html; charset=utf-8"),
        ("a/b.CSS", "text/css; charset=utf-8"),
        ("a.min.js", "text/javascript; charset=utf-8"),
        ("image.svg", "image/svg+xml; charset=utf-8"),
        ("font.woff2", "font/woff2"),
        ("searchindex.json", "application/json"),
        ("robots.txt", "text/plain; charset=utf-8"),
        ("a.wasm", "application/wasm"),
    ] {
        assert_eq!(types::of(name), expected, "{name}");
    }
}

#[test]
fn a_name_without_a_known_ending_is_a_download() {
    for name in ["", "a", "html", ".html", "a.", "a.exe", "a.html/b", "folder.css/", "a.html.bak"] {
        assert_eq!(types::of(name), types::UNKNOWN, "{name}");
    }
}

#[test]
fn text_is_worth_compressing_and_images_are_not() {
    for name in [
        "a.html",
        "a.css",
        "a.js",
        "a.json",
        "a.svg",
        "a.wasm",
        "a.ttf",
        "a.ico",
        "a.txt",
        "a.xml",
        "a.webmanifest",
    ] {
        assert!(types::is_compressible(types::of(name)), "{name}");
    }
    for name in ["a.png", "a.jpg", "a.woff2", "a.zip", "a.pdf", "a.mp4", "a"] {
        assert!(!types::is_compressible(types::of(name)), "{name}");
    }
}
