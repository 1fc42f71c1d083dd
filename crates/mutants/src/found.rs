//! The edits that were found so far, and the function in which the next one is.

use std::ops::Range;

use syn::spanned::Spanned;

use crate::edit::Edit;

/// A source, and its edits.
pub struct Found<'a> {
    source: &'a str,
    /// The functions around the place, the innermost last.
    functions: Vec<String>,
    edits: Vec<Edit>,
}

impl<'a> Found<'a> {
    /// None of this source yet.
    pub fn new(source: &'a str) -> Self {
        Self { source, functions: Vec::new(), edits: Vec::new() }
    }

    /// All of them, in the order of their places. No two are the same.
    pub fn edits(self) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        for edit in self.edits {
            let same =
                |other: &Edit| (other.start, other.end, &other.text) == (edit.start, edit.end, &edit.text);
            if !edits.iter().any(same) {
                edits.push(edit);
            }
        }
        edits.sort_by_key(|edit| edit.start);
        edits
    }

    /// What stands there.
    pub fn text(&self, node: &impl Spanned) -> &'a str {
        &self.source[node.span().byte_range()]
    }

    /// Replace this node.
    pub fn replace(&mut self, node: &impl Spanned, text: impl Into<String>) {
        self.replace_range(node.span().byte_range(), text);
    }

    /// Replace these bytes.
    pub fn replace_range(&mut self, range: Range<usize>, text: impl Into<String>) {
        let function = self.functions.last().cloned().unwrap_or_default();
        self.edits.push(Edit { function, start: range.start, end: range.end, text: text.into() });
    }

    /// Visit something in the function of this name.
    pub fn inside(&mut self, name: &impl ToString, visit: impl FnOnce(&mut Self)) {
        self.functions.push(name.to_string());
        visit(self);
        self.functions.pop();
    }
}
