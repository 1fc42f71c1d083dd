//! The reader's tool, driven as the reader drives it: the real program, in a checkout in miniature.
//!
//! Every call of the program is bounded, and after every one of them no process may be left: see
//! `checkout`.

mod asking;
mod check;
mod checkout;
mod color;
mod commands;
mod interrupt;
mod missing;
mod mutants;
mod output;
mod runner;
mod serve;
mod skipped;
mod surroundings;
mod tool;
mod two_at_once;
mod verdicts;
mod verify;
mod watch;
mod why;
