//! `two-panics`: a handler removes itself and panics, and a value that it holds panics when it is dropped.

use std::cell::Cell;
use std::io::PipeReader;
use std::rc::Rc;

use ioloop::{Event, Events, IoLoop, Token};

use super::support::{Bad, Outcome, a_byte, panics, turns};

/// Prints `reported …` for each failure, and `iterations 2` if the loop went on.
pub fn two_panics() -> Outcome {
    let ioloop = IoLoop::new()?;
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let own: Rc<Cell<Option<Token>>> = Rc::default();
    let (reader, _writer) = a_byte();
    let (token, held) = (Rc::clone(&own), Bad);
    let handler = move |ioloop: &IoLoop, _: &mut PipeReader, _: Event| -> () {
        let _held = &held;
        ioloop.remove_handler(token.take().expect("it runs once"));
        panics("the handler panicked")
    };
    own.set(Some(ioloop.add_handler(reader, Events::READ, handler)?));
    turns(&ioloop, 2);
    println!("iterations 2");
    Ok(())
}
