//! What was proved: counts, and faults in words.

use serde::{Deserialize, Serialize};

/// What was proved, in counts, and what is wrong, in words.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Proof {
    pub references: References,
    pub starters: Starters,
    pub mistakes: Mistakes,
    pub faults: Vec<String>,
}

impl Proof {
    /// Add what was proved of other exercises.
    pub fn add(&mut self, other: Self) {
        self.references.passed += other.references.passed;
        self.references.failed += other.references.failed;
        self.starters.failing += other.starters.failing;
        self.starters.passing += other.starters.passing;
        self.mistakes.caught += other.mistakes.caught;
        self.mistakes.missed += other.mistakes.missed;
        self.faults.extend(other.faults);
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct References {
    pub passed: usize,
    pub failed: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Starters {
    pub failing: usize,
    pub passing: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Mistakes {
    pub caught: usize,
    pub missed: usize,
}
