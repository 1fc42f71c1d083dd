//! Exercise `ioloop/slab`: what the slab of a loop must do. Its values are numbers here; a loop keeps handlers and
//! tasks in it.

mod support;

#[path = "scenarios/slab.rs"]
mod scenarios;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ioloop::Token;
use ioloop::slab::Slab;
use testing::Helper;

testing::helper!(|args| match args {
    ["slab", registered] if let Ok(registered) = registered.parse() => scenarios::run(registered),
    _ => testing::exit_code(support::unknown(args)),
});

#[test]
fn a_token_leads_to_its_value() {
    let mut handlers = Slab::default();
    let tokens: Vec<_> = (0..100).map(|n| handlers.insert(n)).collect();
    for (n, token) in tokens.iter().enumerate().rev() {
        assert_eq!(handlers.get(*token), Some(&n), "{token:?} leads to another value");
        assert_eq!(handlers.get_mut(*token), Some(&mut n.clone()), "{token:?} leads to another value");
    }
}

#[test]
fn a_value_can_be_changed() {
    let mut handlers = Slab::default();
    let token = handlers.insert(1);
    *handlers.get_mut(token).unwrap() = 2;
    assert_eq!(handlers.get_mut(token), Some(&mut 2));
    assert_eq!(handlers.remove(token), Some(2));
}

#[test]
fn the_token_of_a_removed_value_leads_nowhere() {
    let mut handlers = Slab::default();
    let tokens = [1, 2, 3].map(|n| handlers.insert(n));
    assert_eq!(handlers.remove(tokens[1]), Some(2));
    assert_eq!(
        handlers.get_mut(tokens[1]),
        None,
        "its token leads to the value that was removed, or to one that was moved to its slot"
    );
    assert_eq!(handlers.remove(tokens[1]), None, "removing the same token twice");
    assert_eq!(
        handlers.get_mut(tokens[0]),
        Some(&mut 1),
        "a value was removed, and its neighbor cannot be found"
    );
    assert_eq!(
        handlers.get_mut(tokens[2]),
        Some(&mut 3),
        "a value was removed, and its neighbor cannot be found"
    );
}

#[test]
fn an_old_token_does_not_lead_to_the_next_value_of_its_slot() {
    for others in [0, 5] {
        let mut handlers = Slab::default();
        (0..others).for_each(|n| {
            handlers.insert(n);
        });
        let old = handlers.insert(100);
        handlers.remove(old);
        let new = handlers.insert(200);
        assert_ne!(old, new, "a token was given out a second time, for another value");
        assert_eq!(
            handlers.get_mut(old),
            None,
            "an event for a value that was removed reaches the value that has its slot now"
        );
        assert_eq!(
            handlers.get(old),
            None,
            "`get` finds the value that has the slot now, by the token of the one that was removed: what does `get` \
             compare?"
        );
        assert_eq!(
            handlers.remove(old),
            None,
            "removing a value a second time removes the value that has its slot now"
        );
        assert_eq!(handlers.get_mut(new), Some(&mut 200));
    }
}

/// More than 16 bits can count; under Miri, which is slow, more than 8 bits.
const OFTEN: u32 = if cfg!(miri) { 300 } else { 200_000 };

/// A busy server registers connections in the same slot all day long.
#[test]
fn an_old_token_stays_old_however_often_its_slot_is_reused() {
    let mut handlers = Slab::default();
    let old = handlers.insert(0);
    handlers.remove(old);
    for n in 1..=OFTEN {
        let token = handlers.insert(n);
        assert_ne!(
            token, old,
            "after {n} other values had the slot, a token was given out again: how wide is the generation?"
        );
        handlers.remove(token);
    }
}

/// More than 65,536: as many connections as a large server has.
#[test]
fn each_of_many_tokens_leads_to_its_own_value() {
    let mut handlers = Slab::default();
    let many: u32 = if cfg!(miri) { 300 } else { 70_000 };
    let tokens: Vec<_> = (0..many).map(|n| handlers.insert(n)).collect();
    let wrong = (0..many).zip(&tokens).find(|(n, token)| handlers.get(**token) != Some(n));
    assert_eq!(
        wrong, None,
        "{many} values at once. This token does not lead to its own: how wide is the index?"
    );
    let taken: Vec<_> = tokens.iter().filter_map(|token| handlers.remove(*token)).collect();
    assert!(taken.into_iter().eq(0..many), "each value is removed by its own token");
    let grown = (0..many).map(|n| handlers.insert(n)).find(|token| token.index >= many);
    assert_eq!(
        grown, None,
        "{many} values were removed, and as many were inserted. This token is of a new slot: every slot that is free must be \
         used again, however many there are"
    );
}

#[test]
fn a_slot_is_reused() {
    let mut handlers = Slab::default();
    for n in 0..1000 {
        let tokens = [n, n, n].map(|n| handlers.insert(n));
        for token in tokens {
            assert!(
                token.index < 3,
                "at most three values exist at a time, and slot {} is used: the slab grows",
                token.index
            );
            handlers.remove(token);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no ptrace")]
fn no_operation_searches() {
    let steps = |registered: &str| -> Option<Vec<usize>> {
        let answer = Helper::new(&["slab", registered]).if_permitted()?;
        Some(answer.lines("steps").map(|steps| steps.parse().expect("a number")).collect())
    };
    let (Some(few), Some(many)) = (steps("1"), steps("300")) else { return };
    let more = |which: usize| many[which] > 4 * few[which] + 1000;
    assert!(
        !more(0),
        "finding a value by its token takes {} instructions where it is the only one, and {} among three hundred: is \
         there a search? The token holds the number of the slot",
        few[0],
        many[0]
    );
    assert!(
        !more(1),
        "removing a value and inserting another takes {} instructions where there is one, and {} where there are \
         three hundred: is there a search for an empty slot?",
        few[1],
        many[1]
    );
}

#[test]
fn a_slot_is_given_to_one_value_at_a_time() {
    let mut handlers = Slab::default();
    let token = handlers.insert(0);
    handlers.remove(token);
    handlers.remove(token);
    let (one, other) = (handlers.insert(1), handlers.insert(2));
    assert_ne!(one.index, other.index, "after a second removal a slot is free twice, and two values get it");
    assert_eq!(handlers.get_mut(one), Some(&mut 1));
    assert_eq!(handlers.get_mut(other), Some(&mut 2));
}

/// Any code can make up a token, which is two numbers; and the kernel returns whatever it was given.
#[test]
fn a_token_from_elsewhere_does_not_panic() {
    let mut handlers = Slab::default();
    let ours = handlers.insert(1);
    let elsewhere = [
        Token { index: 1, generation: 0 },
        Token { index: u32::MAX, generation: 0 },
        Token { generation: ours.generation.wrapping_add(1), ..ours },
        Token { generation: ours.generation.wrapping_sub(1), ..ours },
    ];
    for token in elsewhere {
        let found = catch_unwind(AssertUnwindSafe(|| {
            (handlers.get(token).copied(), handlers.get_mut(token).copied(), handlers.remove(token))
        }));
        let found = found.expect("a token that this slab never gave out made it panic");
        assert_eq!(found, (None, None, None), "{token:?} was never given out, and leads to a value");
    }
    assert_eq!(handlers.remove(ours), Some(1));
}

/// The token that an empty slot gives out next can be guessed.
#[test]
fn a_token_of_an_empty_slot_leads_nowhere() {
    let mut handlers = Slab::default();
    let ours = handlers.insert(1);
    handlers.remove(ours);
    for more in 0..3 {
        let token = Token { generation: ours.generation.wrapping_add(more), ..ours };
        let found = catch_unwind(AssertUnwindSafe(|| {
            (handlers.get(token).copied(), handlers.get_mut(token).copied(), handlers.remove(token))
        }));
        let found = found.expect("a slot is empty, and a token that it never gave out made the slab panic");
        assert_eq!(found, (None, None, None), "the slot is empty, and {token:?} leads to a value");
    }
    let (one, other) = (handlers.insert(1), handlers.insert(2));
    assert_ne!(
        one.index, other.index,
        "`remove` was called for a token that was never given out, whose slot was empty. Now the slot is free twice, and two \
         values get it"
    );
}

#[test]
fn tokens_lists_every_value() {
    let mut handlers = Slab::default();
    assert_eq!(handlers.tokens(), [], "the slab is empty");
    let all: Vec<_> = (0..10).map(|n| handlers.insert(n)).collect();
    for token in &all[..5] {
        handlers.remove(*token);
    }
    (10..12).for_each(|n| {
        handlers.insert(n);
    });
    let tokens = handlers.tokens();
    assert_eq!(tokens.len(), 7, "seven values are in the slab");
    let mut left: Vec<_> = tokens.iter().filter_map(|token| handlers.remove(*token)).collect();
    left.sort_unstable();
    assert_eq!(left, [5, 6, 7, 8, 9, 10, 11], "every value can be removed by its token");
    assert_eq!(handlers.tokens(), [], "every value was removed");
}

const STEPS: u32 = if cfg!(miri) { 500 } else { 20_000 };

/// Any operations in any order: the slab does the same as a map in which no key comes twice.
#[test]
fn it_behaves_like_a_map() {
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
            assert_eq!(model.insert(token, n), None, "step {n}: {token:?} belongs to another value already");
            given.push(token);
        } else if random(2) == 0 {
            let token = given[random(given.len())];
            assert_eq!(handlers.remove(token), model.remove(&token), "step {n}: removing {token:?}");
        }
        if let Some(token) = given.get(random(given.len().max(1))) {
            assert_eq!(handlers.get(*token), model.get(token), "step {n}: {token:?}");
            assert_eq!(handlers.get_mut(*token), model.get_mut(token), "step {n}: {token:?}");
        }
        if n % 1000 == 0 {
            let mut tokens = handlers.tokens();
            assert!(tokens.iter().all(|token| model.contains_key(token)), "step {n}: a token leads nowhere");
            tokens.sort_unstable_by_key(|token| token.to_bits());
            tokens.dedup();
            assert_eq!(tokens.len(), model.len(), "step {n}: how many values there are");
        }
    }
}
