//! What was proved: counts, and faults in words.

use serde::{Deserialize, Serialize};

/// What was proved, in counts, and what is wrong, in words.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Proof {
    pub references: References,
    pub starters: Starters,
    pub mistakes: Mistakes,
    pub alternatives: Alternatives,
    pub faults: Vec<String>,
    /// Mistakes that were missed at first, and caught when their test ran again.
    pub by_chance: Vec<String>,
    /// What could not be judged, because tests could not ask this machine.
    pub skipped: Vec<String>,
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
        self.references.skipped += other.references.skipped;
        self.starters.skipped += other.starters.skipped;
        self.mistakes.skipped += other.mistakes.skipped;
        self.alternatives.passed += other.alternatives.passed;
        self.alternatives.refused += other.alternatives.refused;
        self.alternatives.skipped += other.alternatives.skipped;
        self.faults.extend(other.faults);
        self.by_chance.extend(other.by_chance);
        self.skipped.extend(other.skipped);
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct References {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Starters {
    pub failing: usize,
    pub passing: usize,
    pub skipped: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Mistakes {
    pub caught: usize,
    pub missed: usize,
    pub skipped: usize,
}

/// Right answers of another construction.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Alternatives {
    pub passed: usize,
    pub refused: usize,
    pub skipped: usize,
}
