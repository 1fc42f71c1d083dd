//! What it costs: one file in `benches/` for each chapter, with bare system calls beside ours.
//!
//! `just bench` runs all of them, `just bench waker` one. Only the ratios within one run mean anything on
//! another machine, and on a busy one not even those.
