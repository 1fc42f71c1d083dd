//! Ways to split bytes: whatever arrives at once, the answer must be the same.

/// A way to split bytes into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// One piece.
    Whole,
    /// A piece for each byte.
    Bytes,
    /// A piece for each line.
    Lines,
    /// Pieces of 1 to 20 bytes, which depend on this number.
    Random(u64),
}

impl Split {
    /// All ways, with three random ones.
    pub const ALL: [Self; 6] =
        [Self::Whole, Self::Bytes, Self::Lines, Self::Random(1), Self::Random(2), Self::Random(3)];

    /// The pieces of `bytes`, in their order.
    pub fn pieces(self, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        let mut state = match self {
            Self::Random(seed) => seed,
            _ => 0,
        };
        while !bytes.is_empty() {
            let length = match self {
                Self::Whole => bytes.len(),
                Self::Bytes => 1,
                Self::Lines => bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1),
                Self::Random(_) => {
                    // The generator of Knuth's MMIX.
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) as usize % 20 + 1
                }
            };
            let (piece, rest) = bytes.split_at(length.min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}
