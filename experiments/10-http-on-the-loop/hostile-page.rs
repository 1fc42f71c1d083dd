//! What a page of another site sends to a server on the reader's machine, and which rule of that server stops what.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use experiments::{Choice, Http, Lab, Question, Result, ask};
use httpserver::guard::{Guard, Head, Token};
use httpserver::{Limits, Reply, Request, Response};
use ioloop::IoLoop;

const QUESTION: Question = Question {
    question: "Which rule of a server on your own machine stops all that a hostile page sends to it?",
    setup: "A server listens on 127.0.0.1. It shows a page at /, and runs a program at /run. A hostile page in the browser on \
            this machine sends it five requests: an image, the same from an older browser, a form, and after DNS rebinding \
            a POST with JSON and a request for the page. Which rule stops all five?",
    choices: &[
        Choice::new("None is needed: a server on 127.0.0.1 gets nothing from a page of another site.")
            .because("The page came from elsewhere, but the browser that runs it is on this machine."),
        Choice::new("The rule that Origin and Sec-Fetch-Site must not name another site.").because(
            "The image of an older browser has neither field, and neither has the request for the page after DNS \
             rebinding.",
        ),
        Choice::new("The rule that a request must have the token, which the hostile page does not know.").because(
            "The page at / needs no token, because the user must be able to open it. After DNS rebinding, the hostile page \
             can read it.",
        ),
        Choice::new("No single one: each rule lets something through, and all of them together let nothing through."),
    ],
    book: 3,
    shows: "Each rule checks something that a hostile page cannot choose freely: the name in Host, the site in Origin and \
            Sec-Fetch-Site, the type of the body, a secret. Each rule lets something through that another rule stops.",
    lane: "browser",
    ..Question::EMPTY
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Host,
    Site,
    Json,
    Token,
}

/// What is tried: no rule, each alone, and all of them.
const TRIED: [(&str, &[Rule]); 6] = [
    ("none", &[]),
    ("Host", &[Rule::Host]),
    ("site", &[Rule::Site]),
    ("JSON", &[Rule::Json]),
    ("token", &[Rule::Token]),
    ("all", &[Rule::Host, Rule::Site, Rule::Json, Rule::Token]),
];

/// What the server's thread and the experiment share.
struct Site {
    guard: OnceLock<Guard>,
    token: Token,
    rules: Mutex<&'static [Rule]>,
}

impl Site {
    // ANCHOR: rules
    /// Does a request keep this rule? A page needs neither
    /// JSON nor the token.
    fn keeps(&self, rule: Rule, head: &Head<'_>, is_page: bool) -> bool {
        let Some(guard) = self.guard.get() else { return false };
        let token = head.one("X-Token");
        match rule {
            Rule::Host => guard.check_host(head).is_ok(),
            Rule::Site => guard.check_site(head, is_page).is_ok(),
            Rule::Json => is_page || head.method == "POST" && head.is_json(),
            Rule::Token => is_page || token.is_some_and(|given| self.token.is(given)),
        }
    }
    // ANCHOR_END: rules
}

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let site = Site { guard: OnceLock::new(), token: Token::new()?, rules: Mutex::new(&[]) };
        let site = Arc::new(site);
        let its = Arc::clone(&site);
        let server = lab.http(Limits::default(), || app(its))?;
        let port = server.port();
        site.guard.get_or_init(|| Guard::new(port));
        let requests = hostile(port);
        let mut passed = [0; TRIED.len()];
        lab.note(row("the rule:", TRIED.map(|(name, _)| name)));
        for (name, request) in &requests {
            let mut outcomes = ["refused"; TRIED.len()];
            for (i, (_, rules)) in TRIED.into_iter().enumerate() {
                if passes(lab, &server, &site, rules, request)? {
                    outcomes[i] = "passes";
                    passed[i] += 1;
                }
            }
            lab.note(row(name, outcomes));
        }
        let all = TRIED[5].1;
        let own = own_page(port, site.token.reveal());
        lab.check(passes(lab, &server, &site, all, &own)?, "the server's own page passes all rules");
        let program = own_page(port, "a guess");
        lab.check(
            !passes(lab, &server, &site, all, &program)? && passes(lab, &server, &site, &all[..3], &program)?,
            "a program that is no browser, with the right fields: only the token stops it",
        );
        match passed {
            [0, ..] => Ok(0),
            [_, _, 0, ..] => Ok(1),
            [_, _, _, _, 0, _] => Ok(2),
            [_, host, site, json, token, 0] if [host, site, json, token].iter().all(|some| *some > 0) => {
                Ok(3)
            }
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

fn row(name: &str, cells: [&str; TRIED.len()]) -> String {
    let cells = cells.map(|cell| format!("{cell:8}"));
    format!("{name:20}{}", cells.concat()).trim_end().to_owned()
}

/// Answers `/` with a page, and `/run` as if it had run a program, unless a rule that is on is broken.
fn app(site: Arc<Site>) -> impl Fn(&IoLoop, &Request, Reply) {
    move |_, request, reply| {
        let fields: Vec<_> = request.headers().collect();
        let head = Head { method: request.method(), target: request.target(), fields: &fields };
        let rules = site.rules.lock().map(|rules| *rules).unwrap_or_default();
        let passes = rules.iter().all(|rule| site.keeps(*rule, &head, request.path() == "/"));
        reply.send(Response::text(if passes { 200 } else { 403 }, ""));
    }
}

/// What a hostile page makes a browser send. The fields are those that Chromium sends.
fn hostile(port: u16) -> [(&'static str, String); 5] {
    let (ours, rebound) = (format!("127.0.0.1:{port}"), format!("evil.example:{port}"));
    // ANCHOR: requests
    let image = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\
                 Sec-Fetch-Dest: image\r\n";
    let form = "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n\
                Sec-Fetch-Mode: navigate\r\nContent-Type: text/plain\r\n";
    let json = format!(
        "Origin: http://{rebound}\r\n\
         Content-Type: application/json\r\n"
    );
    [
        ("an image", message("GET /run", &ours, image)),
        ("old browser's image", message("GET /run", &ours, "")),
        ("a form", message("POST /run", &ours, form)),
        ("rebound: POST, JSON", message("POST /run", &rebound, &json)),
        ("rebound: the page", message("GET /", &rebound, "")),
    ]
    // ANCHOR_END: requests
}

/// What the server's own page sends, or a program that imitates it.
fn own_page(port: u16, token: &str) -> String {
    let ours = format!("127.0.0.1:{port}");
    let fields = format!(
        "Origin: http://{ours}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nX-Token: {token}\r\n"
    );
    message("POST /run", &ours, &fields)
}

fn message(line: &str, host: &str, fields: &str) -> String {
    let length = if line.starts_with("POST") { "Content-Length: 2\r\n" } else { "" };
    let body = if length.is_empty() { "" } else { "{}" };
    format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}{length}\r\n{body}")
}

/// Send a request to the server with these rules. Gives whether it passes.
fn passes(lab: &Lab, server: &Http, site: &Site, rules: &'static [Rule], request: &str) -> Result<bool> {
    *site.rules.lock().map_err(|_| "the server panicked")? = rules;
    let mut client = lab.connect(server.port())?;
    client.write_all(request.as_bytes())?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    match answer.get(..12) {
        Some("HTTP/1.1 200") => Ok(true),
        Some("HTTP/1.1 403") => Ok(false),
        _ => Err(format!("neither passed nor refused: {answer:?}").into()),
    }
}
