//! Bytes that were received and not read yet.

/// How much memory an empty buffer keeps, in bytes, and how many bytes that were read stand before the others.
const KEPT: usize = 4 * 1024;

/// A buffer: bytes come in at its end and are taken from its beginning.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// How many of them were read.
    taken: usize,
}

impl Input {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What was not read.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(crate) fn len(&self) -> usize {
        self.rest().len()
    }

    /// The next bytes were read. Forget them, and the memory of many.
    pub(crate) fn consume(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.taken = 0;
        } else if self.taken > KEPT {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}
