//! The routes: for each method and path what it does and what a request must have for it. What is not in the table is
//! refused, or a page of the book.

use httpserver::guard::{Guard, Head, Token};

use crate::refusal::Refusal;

/// What a request must have beyond passing the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing: it shows what anyone on this machine may see, and starts nothing.
    Open,
    /// The token.
    Private,
    /// The token, POST, and a body of the type application/json, which a form of another site cannot send.
    Acts,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A file of the built book.
    Page,
    /// Says that a workbook answers.
    Hello,
    /// What the reader has done so far.
    Progress,
    /// Runs an experiment.
    Run,
    /// Runs the tests of an exercise.
    Check,
    /// The stream of events.
    Events,
    /// Blocks the loop.
    Block,
    /// Opens a slow client.
    Slow,
}

/// A row of the table.
#[derive(Debug)]
pub struct Route {
    /// The methods, as the field `Allow` names them.
    pub methods: &'static str,
    /// The path below `/api/`.
    pub name: &'static str,
    /// What it does.
    pub action: Action,
    /// What a request must have.
    pub class: Class,
}

const fn route(methods: &'static str, name: &'static str, action: Action, class: Class) -> Route {
    Route { methods, name, action, class }
}

/// The interface of the live book.
pub const ROUTES: [Route; 7] = [
    route("GET, HEAD", "hello", Action::Hello, Class::Open),
    route("GET, HEAD", "progress", Action::Progress, Class::Private),
    route("POST", "run", Action::Run, Class::Acts),
    route("POST", "check", Action::Check, Class::Acts),
    route("POST", "events", Action::Events, Class::Acts),
    route("POST", "block", Action::Block, Class::Acts),
    route("POST", "slow", Action::Slow, Class::Acts),
];

/// The pages of the book: every path that is not below `/api`.
pub const PAGES: Route = route("GET, HEAD", "", Action::Page, Class::Open);

/// Which action a request may have done. This is the only way from a request to an action.
///
/// # Errors
/// Why it is refused: by the guard, because there is no such route, or because it lacks what the route's class requires.
pub fn admit(guard: &Guard, token: &Token, head: &Head<'_>, path: &str) -> Result<Action, Refusal> {
    guard.check(head, !path.starts_with("/api"))?;
    let route = find(path)?;
    if !route.methods.split(", ").any(|method| method == head.method) {
        return Err(Refusal::method(route.methods));
    }
    if route.class == Class::Acts && !head.is_json() {
        return Err(Refusal::NOT_JSON);
    }
    match head.one("X-Workbook-Token") {
        _ if route.class == Class::Open => Ok(route.action),
        None => Err(Refusal::NO_TOKEN),
        Some(given) if token.is(given) => Ok(route.action),
        Some(_) => Err(Refusal::OLD_TOKEN),
    }
}

/// The route of a path. The path is compared as it was sent, so `/%61pi/run` is a page that does not exist.
fn find(path: &str) -> Result<&'static Route, Refusal> {
    match path.strip_prefix("/api") {
        Some("") => Err(Refusal::NO_ROUTE),
        Some(rest) if rest.starts_with('/') => {
            ROUTES.iter().find(|route| route.name == &rest[1..]).ok_or(Refusal::NO_ROUTE)
        }
        _ => Ok(&PAGES),
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
