//! One row of the table: ours beside its peer, the ratio with its quartiles, and what was promised.

use bench::{Turns, time};

/// What one measurement came to.
pub struct Row {
    pub name: String,
    pub ours: String,
    pub peer: String,
    /// The median between its quartiles, or the middle of a range.
    pub ratio: Option<[f64; 3]>,
    pub limit: String,
    pub held: bool,
}

impl Row {
    /// Ours may take at most so many times as long.
    pub fn at_most(name: impl Into<String>, turns: Turns, limit: f64) -> Self {
        let Turns { ratio, bare, ours, .. } = turns;
        Self {
            name: name.into(),
            ours: time(ours[1]),
            peer: time(bare[1]),
            ratio: Some(ratio),
            limit: format!("at most {limit:.2}"),
            held: ratio[1] <= limit,
        }
    }

    /// Ours must get at least so many times as much done.
    pub fn at_least(name: impl Into<String>, turns: Turns, limit: f64) -> Self {
        let [low, median, high] = turns.ratio;
        let ratio = [high, median, low].map(f64::recip);
        let held = ratio[1] >= limit;
        Self {
            ratio: Some(ratio),
            limit: format!("at least {limit:.2}"),
            held,
            ..Self::at_most(name, turns, limit)
        }
    }

    /// What could not be measured here, and why.
    pub fn left_out(name: String, why: &str) -> Self {
        let [ours, peer] = ["–"; 2].map(String::from);
        Self { name, ours, peer, ratio: None, limit: why.to_owned(), held: false }
    }
}

/// As a table in Markdown.
pub fn print(rows: &[Row]) {
    let mut lines = vec![["row", "ours", "peer", "ratio (quartiles)", "limit", "held"].map(String::from)];
    for Row { name, ours, peer, ratio, limit, held } in rows {
        let ratio =
            ratio.map_or_else(String::new, |[low, ratio, high]| format!("{ratio:.3} ({low:.3}–{high:.3})"));
        let held = if *held { "yes" } else { "**no**" };
        lines.push([name.clone(), ours.clone(), peer.clone(), ratio, limit.clone(), held.to_owned()]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", rules.join(" | "));
        }
    }
}
