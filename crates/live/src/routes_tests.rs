//! What each route requires.

use super::*;

type Field<'a> = (&'a str, &'a [u8]);

const HOST: Field<'_> = ("Host", b"127.0.0.1:4000");
const JSON: Field<'_> = ("Content-Type", b"application/json");

/// Each path that something is behind.
fn all() -> impl Iterator<Item = (String, &'static Route)> {
    let pages = ["/", "/index.html", "/02-close-on-exec/fd-vanishes.html", "/apis", "/%61pi/run"]
        .map(|path| (path.into(), &PAGES));
    ROUTES.iter().map(|route| (format!("/api/{}", route.name), route)).chain(pages)
}

fn asked(token: &Token, method: &str, path: &str, fields: &[Field<'_>]) -> Result<Action, u16> {
    let head = Head { method, target: path, fields };
    admit(&Guard::new(4000), token, &head, path).map_err(|refusal| refusal.status)
}

/// The first method of a route.
fn method(route: &Route) -> &'static str {
    route.methods.split(", ").next().expect("a method")
}

#[test]
fn each_route_refuses_each_wrong_credential() {
    let [token, old] = [(); 2].map(|()| Token::new().expect("random bytes"));
    let good: Field<'_> = ("X-Workbook-Token", token.reveal().as_bytes());
    for (path, route) in all() {
        let asked = |method: &str, fields: &[Field<'_>]| asked(&token, method, &path, fields);
        let method = method(route);
        assert_eq!(asked(method, &[HOST, JSON, good]), Ok(route.action), "{path}: all is right");
        let wrong: [(&str, Field<'_>, u16); 6] = [
            ("another origin", ("Origin", b"http://evil.example"), 403),
            ("the origin null", ("Origin", b"null"), 403),
            ("another port", ("Origin", b"http://127.0.0.1:4001"), 403),
            ("another site", ("Sec-Fetch-Site", b"cross-site"), 403),
            ("another port of this site", ("Sec-Fetch-Site", b"same-site"), 403),
            ("two hosts", HOST, 400),
        ];
        for (what, field, status) in wrong {
            assert_eq!(asked(method, &[HOST, JSON, good, field]), Err(status), "{path}: {what}");
        }
        let foreign: Field<'_> = ("Host", b"evil.example:4000");
        assert_eq!(asked(method, &[foreign, JSON, good]), Err(421), "{path}: another host");
        assert_eq!(asked(method, &[JSON, good]), Err(400), "{path}: no host");
        let refused = if route.class == Class::Open { Ok(route.action) } else { Err(401) };
        let old: Field<'_> = ("X-Workbook-Token", old.reveal().as_bytes());
        for (what, fields) in [
            ("no token", &[HOST, JSON][..]),
            ("an old token", &[HOST, JSON, old]),
            ("two tokens", &[HOST, JSON, good, good]),
        ] {
            assert_eq!(asked(method, fields), refused, "{path}: {what}");
        }
        for other in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "FETCH"] {
            let permitted = route.methods.split(", ").any(|method| method == other);
            let answer = if permitted { Ok(route.action) } else { Err(405) };
            assert_eq!(asked(other, &[HOST, JSON, good]), answer, "{path}: {other}");
        }
    }
}

#[test]
fn what_acts_takes_json_by_post_and_nothing_else() {
    let token = Token::new().expect("random bytes");
    let good: Field<'_> = ("X-Workbook-Token", token.reveal().as_bytes());
    for (path, route) in all().filter(|(_, route)| route.class == Class::Acts) {
        assert_eq!(route.methods, "POST", "{path}");
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
            "application/jsonp",
            "application/json; charset=utf-7",
        ] {
            let fields = [HOST, good, ("Content-Type", kind.as_bytes())];
            assert_eq!(asked(&token, "POST", &path, &fields), Err(415), "{path}: {kind}");
        }
        assert_eq!(asked(&token, "POST", &path, &[HOST, good]), Err(415), "{path}: no type");
        let fields = [HOST, good, ("Content-Type", b"Application/JSON; charset=UTF-8" as &[u8])];
        assert_eq!(asked(&token, "POST", &path, &fields), Ok(route.action), "{path}");
    }
}

#[test]
fn what_changes_something_is_in_no_class_but_one() {
    for route in &ROUTES {
        let acts = !matches!(route.action, Action::Page | Action::Hello | Action::Progress);
        assert_eq!(acts, route.class == Class::Acts, "{}", route.name);
        assert_eq!(acts, !route.methods.contains("GET"), "{}: GET never starts anything", route.name);
    }
}

#[test]
fn an_unknown_path_of_the_interface_is_no_page() {
    let token = Token::new().expect("random bytes");
    for path in ["/api", "/api/", "/api/nothing", "/api/run/", "/api/../api/run", "/api//run"] {
        assert_eq!(asked(&token, "GET", path, &[HOST]), Err(404), "{path}");
    }
}
