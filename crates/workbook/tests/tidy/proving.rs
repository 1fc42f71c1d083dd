//! The tool's own reader of mistakes, so that the checks and `workbook verify` read the same.

#[path = "../../src/proving/edit.rs"]
pub mod edit;
#[path = "../../src/proving/mistakes.rs"]
pub mod mistakes;
