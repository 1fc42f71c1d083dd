//! The picture of a timeline: the lanes, drawn beside the events.

use crate::timeline::{Event, What};

/// The lanes in the order in which they started.
fn lanes(events: &[Event]) -> Vec<&str> {
    let mut lanes: Vec<&str> = Vec::new();
    for event in events.iter().filter(|e| e.what.is_drawn()) {
        for name in [&event.by, &event.lane] {
            if !lanes.contains(&name.as_str()) {
                lanes.push(name);
            }
        }
    }
    lanes
}

/// The picture: a header with the lanes' names, then a row for each event. Rows keep the marks of `vary`.
pub struct Picture<'a> {
    lanes: Vec<&'a str>,
    widths: Vec<usize>,
    alive: Vec<bool>,
}

impl<'a> Picture<'a> {
    pub fn new(events: &'a [Event]) -> Self {
        let lanes = lanes(events);
        let widths = lanes.iter().map(|name| name.chars().count().max(3) + 2).collect();
        let mut alive = vec![false; lanes.len()];
        if let Some(first) = alive.first_mut() {
            *first = true;
        }
        Self { lanes, widths, alive }
    }

    /// The names above the lanes.
    pub fn header(&self) -> String {
        let cells = self.lanes.iter().zip(&self.widths).map(|(name, width)| format!("{name:<width$}"));
        cells.collect::<String>().trim_end().to_owned()
    }

    /// The lane on which an event is drawn, for its color.
    pub fn lane(&self, name: &str) -> usize {
        self.lanes.iter().position(|lane| *lane == name).unwrap_or(0)
    }

    /// The lanes' part of the row of one event; the event's text follows it.
    pub fn row(&mut self, event: &Event) -> String {
        let at = self.lane(&event.lane);
        let from = if event.what == What::Born { self.lane(&event.by) } else { at };
        let sign = match event.what {
            What::Born => '●',
            What::Exec => '◆',
            What::End => '✕',
            What::Note | What::Fact { .. } | What::Refused | What::Failed => '●',
        };
        let mut row = self.cells(|i, alive| match i {
            _ if i == at => sign,
            _ if i == from => '├',
            _ if alive => '│',
            _ => ' ',
        });
        if from < at {
            // The branch from parent to child runs behind the lanes between them.
            let [start, end] = [from, at].map(|i| self.widths[..i].iter().sum::<usize>());
            row = row
                .chars()
                .enumerate()
                .map(|(x, c)| match c {
                    ' ' if x > start && x < end => '─',
                    '│' if x > start && x < end => '┼',
                    other => other,
                })
                .collect();
        }
        self.alive[at] = event.what != What::End;
        row
    }

    /// The lanes beside a line that is not an event, with `sign` in the lane to which it belongs.
    pub fn beside(&self, lane: &str, sign: char) -> String {
        let at = self.lane(lane);
        self.cells(|i, alive| match i {
            _ if i == at => sign,
            _ if alive => '│',
            _ => ' ',
        })
    }

    fn cells(&self, sign: impl Fn(usize, bool) -> char) -> String {
        let cells = self.widths.iter().enumerate();
        cells.map(|(i, width)| format!("{:<width$}", sign(i, self.alive[i]))).collect()
    }
}
