//! The reader's tool.
fn main() {}
