//! Exercise `ioloop/handlers`: what the table of a loop must do. What is registered are numbers here; to the loop they
//! are handlers, tasks, and owners of signals.

mod support;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ioloop::Token;
use ioloop::slab::Slab;
use testing::Helper;

#[test]
fn a_token_leads_to_what_it_was_given_for() {
    let mut handlers = Slab::default();
    let tokens: Vec<_> = (0..100).map(|n| handlers.insert(n)).collect();
    for (n, token) in tokens.iter().enumerate().rev() {
        assert_eq!(handlers.get_mut(*token), Some(&mut n.clone()), "{token:?} leads to somebody else");
    }
}

#[test]
fn what_is_registered_can_be_changed() {
    let mut handlers = Slab::default();
    let token = handlers.insert(1);
    *handlers.get_mut(token).unwrap() = 2;
    assert_eq!(handlers.get_mut(token), Some(&mut 2));
    assert_eq!(handlers.remove(token), Some(2));
}

#[test]
fn a_token_of_what_was_removed_leads_nowhere() {
    let mut handlers = Slab::default();
    let tokens = [1, 2, 3].map(|n| handlers.insert(n));
    assert_eq!(handlers.remove(tokens[1]), Some(2));
    assert_eq!(
        handlers.get_mut(tokens[1]),
        None,
        "its token leads to what was removed, or to whoever was moved to its place"
    );
    assert_eq!(handlers.remove(tokens[1]), None, "removed twice");
    assert_eq!(
        handlers.get_mut(tokens[0]),
        Some(&mut 1),
        "one was removed, and its neighbour is not to be found"
    );
    assert_eq!(
        handlers.get_mut(tokens[2]),
        Some(&mut 3),
        "one was removed, and its neighbour is not to be found"
    );
}

#[test]
fn an_old_token_does_not_lead_to_whoever_has_the_place_now() {
    for others in [0, 5] {
        let mut handlers = Slab::default();
        (0..others).for_each(|n| {
            handlers.insert(n);
        });
        let old = handlers.insert(100);
        handlers.remove(old);
        let new = handlers.insert(200);
        assert_ne!(old, new, "a token was given out a second time, for another");
        assert_eq!(
            handlers.get_mut(old),
            None,
            "an event that was on its way for somebody who is gone reaches whoever has the place now"
        );
        assert_eq!(
            handlers.remove(old),
            None,
            "who removes themselves a second time removes whoever has the place now"
        );
        assert_eq!(handlers.get_mut(new), Some(&mut 200));
    }
}

/// More than sixteen bits have; under Miri, which is slow, more than eight.
const OFTEN: u32 = if cfg!(miri) { 300 } else { 200_000 };

/// A busy server registers a connection at the same place all day long.
#[test]
fn an_old_token_stays_old_however_often_its_place_is_used() {
    let mut handlers = Slab::default();
    let old = handlers.insert(0);
    handlers.remove(old);
    for n in 1..=OFTEN {
        let token = handlers.insert(n);
        assert_ne!(
            token, old,
            "after {n} others had the place, a token came again: how wide is the generation?"
        );
        handlers.remove(token);
    }
}

#[test]
fn a_place_is_used_again() {
    let mut handlers = Slab::default();
    for n in 0..1000 {
        let tokens = [n, n, n].map(|n| handlers.insert(n));
        for token in tokens {
            assert!(
                token.index < 3,
                "three are registered at most, and place {} is used: it grows",
                token.index
            );
            handlers.remove(token);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "it has no ptrace")]
fn nobody_is_searched_for() {
    let steps = |registered: &str| -> Option<Vec<usize>> {
        let answer = Helper::new(&["slab", registered]).if_permitted()?;
        Some(answer.lines("steps").map(|steps| steps.parse().expect("a number")).collect())
    };
    let (Some(few), Some(many)) = (steps("1"), steps("300")) else { return };
    let more = |which: usize| many[which] > 4 * few[which] + 1000;
    assert!(
        !more(0),
        "who has a token is found with {} instructions alone, and with {} among three hundred: is there a search? The \
         token says where to look",
        few[0],
        many[0]
    );
    assert!(
        !more(1),
        "to remove one and register another takes {} instructions where there is one, and {} where there are \
         three hundred: is an empty place searched for?",
        few[1],
        many[1]
    );
}

#[test]
fn a_place_is_given_to_one_at_a_time() {
    let mut handlers = Slab::default();
    let token = handlers.insert(0);
    handlers.remove(token);
    handlers.remove(token);
    let (one, other) = (handlers.insert(1), handlers.insert(2));
    assert_ne!(one.index, other.index, "removed twice, a place is free twice, and two have it");
    assert_eq!(handlers.get_mut(one), Some(&mut 1));
    assert_eq!(handlers.get_mut(other), Some(&mut 2));
}

/// A token is two numbers that anybody can write down, and the kernel hands back whatever it was given.
#[test]
fn a_token_from_elsewhere_is_no_panic() {
    let mut handlers = Slab::default();
    let ours = handlers.insert(1);
    let elsewhere = [
        Token { index: 1, generation: 0 },
        Token { index: u32::MAX, generation: 0 },
        Token { generation: ours.generation.wrapping_add(1), ..ours },
        Token { generation: ours.generation.wrapping_sub(1), ..ours },
    ];
    for token in elsewhere {
        let found =
            catch_unwind(AssertUnwindSafe(|| (handlers.get_mut(token).copied(), handlers.remove(token))));
        let found = found.expect("a token that this table never gave out made it panic");
        assert_eq!(found, (None, None), "{token:?} was never given out, and leads to somebody");
    }
    assert_eq!(handlers.remove(ours), Some(1));
}

#[test]
fn the_tokens_are_those_of_all_that_is_registered() {
    let mut handlers = Slab::default();
    assert_eq!(handlers.tokens(), [], "nobody is registered");
    let all: Vec<_> = (0..10).map(|n| handlers.insert(n)).collect();
    for token in &all[..5] {
        handlers.remove(*token);
    }
    (10..12).for_each(|n| {
        handlers.insert(n);
    });
    let tokens = handlers.tokens();
    assert_eq!(tokens.len(), 7, "seven are registered");
    let mut left: Vec<_> = tokens.iter().filter_map(|token| handlers.remove(*token)).collect();
    left.sort_unstable();
    assert_eq!(left, [5, 6, 7, 8, 9, 10, 11], "by its tokens, all that is registered can be removed");
    assert_eq!(handlers.tokens(), [], "all were removed");
}

const STEPS: u32 = if cfg!(miri) { 500 } else { 20_000 };

/// Whatever is done to it, in whatever order: the same as with a map in which no key comes twice.
#[test]
fn it_does_what_a_map_does() {
    let (mut handlers, mut seed) = (Slab::default(), 7_u64);
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut model: HashMap<Token, u32> = HashMap::new();
    let mut given: Vec<Token> = Vec::new();
    for n in 0..STEPS {
        if given.is_empty() || random(3) == 0 {
            let token = handlers.insert(n);
            assert_eq!(model.insert(token, n), None, "step {n}: {token:?} is somebody's already");
            given.push(token);
        } else if random(2) == 0 {
            let token = given[random(given.len())];
            assert_eq!(handlers.remove(token), model.remove(&token), "step {n}: removing {token:?}");
        }
        if let Some(token) = given.get(random(given.len().max(1))) {
            assert_eq!(handlers.get_mut(*token), model.get_mut(token), "step {n}: {token:?}");
        }
        if n % 1000 == 0 {
            let mut tokens = handlers.tokens();
            assert!(tokens.iter().all(|token| model.contains_key(token)), "step {n}: one is nobody's");
            tokens.sort_unstable_by_key(|token| token.to_bits());
            tokens.dedup();
            assert_eq!(tokens.len(), model.len(), "step {n}: how many are registered");
        }
    }
}
