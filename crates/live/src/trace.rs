//! The trace of the loop that serves the book: the last iterations, and what ran in each.
//!
//! The page that draws the trace causes iterations itself, so what is the page's own is marked: the timer that publishes, and
//! the dispatches of the connection that carries the stream. It is published in batches, or the trace would mostly consist of
//! itself.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use ioloop::{Dispatch, IoLoop, Iteration, Origin, Subscription, Token};
use serde_json::{Value, json};

/// How many iterations are kept until the next batch.
const KEPT: usize = 256;

/// How many dispatches of one iteration are kept.
const DISPATCHES: usize = 32;

/// The ring of the last iterations.
#[derive(Default)]
pub struct Trace {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    number: u64,
    dropped: u64,
    ring: VecDeque<Value>,
    current: Vec<Dispatch>,
    /// How many dispatches the iteration had beyond those.
    more: usize,
    /// What the dispatch that runs is called, and whose it is.
    label: Option<(String, bool)>,
    labels: Vec<String>,
    /// The connections that carry the stream.
    observers: BTreeSet<Token>,
    own: Vec<bool>,
}

impl Trace {
    /// An empty ring.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Say what the dispatch that runs now is for: "POST /api/run". `observer`: it is the page's own traffic.
    pub fn label(&self, label: &str, observer: bool) {
        self.state.borrow_mut().label = Some((label.to_owned(), observer));
    }

    /// Record from now on, until [`Trace::stop`].
    pub fn start(self: &Rc<Self>, ioloop: &IoLoop) -> [Subscription; 2] {
        *self.state.borrow_mut() = State::default();
        let (dispatches, iterations) = (Rc::clone(self), Rc::clone(self));
        [
            ioloop.trace(move |_, dispatch| dispatches.dispatch(dispatch)),
            ioloop.subscribe(move |_, iteration| iterations.iteration(&iteration)),
        ]
    }

    /// Record no more.
    pub fn stop(&self, ioloop: &IoLoop, subscriptions: [Subscription; 2]) {
        subscriptions.into_iter().for_each(|subscription| ioloop.unsubscribe(subscription));
    }

    /// The iterations since the last batch, as an event; none if there were only the page's own.
    pub fn batch(&self) -> Option<Value> {
        let mut state = self.state.borrow_mut();
        if state.ring.iter().all(|iteration| iteration["observer"] == true) {
            // They stay, for the batch that has something to show beside them.
            let excess = state.ring.len().saturating_sub(16);
            state.ring.drain(..excess);
            return None;
        }
        let iterations: Vec<Value> = state.ring.drain(..).collect();
        let dropped = std::mem::take(&mut state.dropped);
        Some(json!({ "kind": "trace", "iterations": iterations, "dropped": dropped }))
    }

    fn dispatch(&self, dispatch: &Dispatch) {
        let mut state = self.state.borrow_mut();
        let label = state.label.take();
        let is_own = match (&label, dispatch.token) {
            (Some((_, observer)), Some(token)) => {
                if *observer {
                    state.observers.insert(token)
                } else {
                    state.observers.remove(&token)
                };
                *observer
            }
            (Some((_, observer)), None) => *observer,
            (None, Some(token)) => state.observers.contains(&token),
            (None, None) => false,
        };
        if state.current.len() == DISPATCHES {
            state.more += 1;
            return;
        }
        state.current.push(*dispatch);
        state.own.push(is_own);
        state.labels.push(label.map_or_else(|| short(dispatch.label), |(label, _)| label));
    }

    fn iteration(&self, iteration: &Iteration) {
        let mut state = self.state.borrow_mut();
        let (current, own) = (std::mem::take(&mut state.current), std::mem::take(&mut state.own));
        let labels = std::mem::take(&mut state.labels);
        let more = std::mem::take(&mut state.more);
        state.number += 1;
        let time_of = |wanted: fn(Origin) -> bool| -> u64 {
            current
                .iter()
                .filter(|dispatch| wanted(dispatch.origin))
                .map(|dispatch| us(dispatch.end.saturating_sub(dispatch.start)))
                .sum()
        };
        let named = labels
            .iter()
            .zip(&own)
            .find(|(label, own)| !**own && label.contains(" /"))
            .map(|(label, _)| label);
        let dispatches = current.iter().zip(&labels).zip(&own);
        let dispatches: Vec<Value> = dispatches
            .map(|((dispatch, label), own)| {
                json!({
                    "origin": origin(dispatch.origin),
                    "token": dispatch.token.map(Token::to_bits),
                    "label": label,
                    "observer": own,
                    "start_us": us(dispatch.start),
                    "end_us": us(dispatch.end),
                })
            })
            .collect();
        let value = json!({
            "number": state.number,
            "start_us": us(iteration.start),
            "callbacks": iteration.callbacks,
            "timers": iteration.timers,
            "events": iteration.events,
            "callbacks_us": time_of(|origin| matches!(origin, Origin::Callback | Origin::Task)),
            "timers_us": time_of(|origin| origin == Origin::Timer),
            "events_us": time_of(|origin| matches!(origin, Origin::Handler(_))),
            // A sleep without a limit has the longest timeout.
            "asked_us": (iteration.timeout < Duration::from_secs(86_400)).then(|| us(iteration.timeout)),
            "sleep_start_us": us(iteration.sleep_start),
            "slept_us": us(iteration.sleep_end.saturating_sub(iteration.sleep_start)),
            "label": named,
            "observer": !own.is_empty() && own.iter().all(|own| *own),
            "dispatches": dispatches,
            "more": more,
        });
        if state.ring.len() == KEPT {
            state.ring.pop_front();
            state.dropped += 1;
        }
        state.ring.push_back(value);
    }
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Callback => "callback",
        Origin::Timer => "timer",
        Origin::Handler(_) => "handler",
        Origin::Task => "task",
    }
}

/// The function in which a closure is written, without its path: `httpserver::client::Client::start::{{closure}}` is
/// `Client::start`.
fn short(label: &str) -> String {
    let name = label.split("::{{closure}}").next().unwrap_or(label);
    // What is between angle brackets has paths of its own.
    let plain = name.split('<').next().unwrap_or(name);
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(2)..].join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch(token: u32) -> Dispatch {
        let token = Some(Token { index: token, generation: 0 });
        let (start, end) = (Duration::from_micros(5), Duration::from_micros(9));
        Dispatch { origin: Origin::Handler(7), token, label: "a::b::C::read::{{closure}}", start, end }
    }

    #[test]
    fn the_connection_of_the_stream_is_the_observer_until_it_carries_another_request() {
        let trace = Trace::new();
        let iterate = |label: Option<(&str, bool)>, token| {
            if let Some((label, observer)) = label {
                trace.label(label, observer);
            }
            trace.dispatch(&dispatch(token));
            trace.iteration(&Iteration::default());
            trace
                .state
                .borrow()
                .ring
                .back()
                .map(|it| (it["observer"].clone(), it["label"].clone()))
                .expect("an iteration")
        };
        let null = Value::Null;
        assert_eq!(iterate(Some(("POST /api/events", true)), 1), (true.into(), null.clone()));
        assert_eq!(iterate(None, 1), (true.into(), null.clone()), "a write of the stream");
        assert_eq!(trace.batch(), None, "the page's own traffic alone is not published");
        assert_eq!(iterate(None, 2), (false.into(), null.clone()), "another connection");
        assert_eq!(iterate(Some(("GET /", false)), 1), (false.into(), "GET /".into()));
        let batch = trace.batch().expect("a batch");
        assert_eq!(batch["iterations"].as_array().map(Vec::len), Some(4));
        assert_eq!(batch["iterations"][2]["events_us"], 4);
        assert_eq!(trace.batch(), None, "nothing is published twice");
    }

    #[test]
    fn the_ring_is_bounded_and_counts_what_it_drops() {
        let trace = Trace::new();
        for _ in 0..KEPT + 3 {
            (0..DISPATCHES + 2).for_each(|_| trace.dispatch(&dispatch(1)));
            trace.iteration(&Iteration::default());
        }
        let batch = trace.batch().expect("a batch");
        let iterations = batch["iterations"].as_array().expect("iterations");
        assert_eq!((iterations.len(), &batch["dropped"]), (KEPT, &json!(3)));
        assert_eq!(iterations[0]["dispatches"].as_array().map(Vec::len), Some(DISPATCHES));
        assert_eq!((&iterations[0]["more"], &iterations[0]["number"]), (&json!(2), &json!(4)));
    }

    #[test]
    fn a_label_is_the_function_without_its_path() {
        assert_eq!(short("httpserver::client::Client::start::{{closure}}"), "Client::start");
        assert_eq!(short("a::b::C<x::Y>::read::{{closure}}::{{closure}}"), "b::C");
        assert_eq!(short(""), "");
    }
}
