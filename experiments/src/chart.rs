//! Charts, for experiments whose answer is a number that grows with another: axes with units, in the theme's colors.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::element::DynElement;
use plotters::prelude::*;

use crate::verdict::Result;

mod figure;

pub(crate) use figure::figure;

/// Width and height of a chart: figures are 480 units wide, so that their text can be read on a phone.
pub(crate) const SIZE: (u32, u32) = (480, 350);
/// The height of the text in other figures, 16 units, in the library's measure.
const FONT: (&str, f64) = ("sans-serif", 16.0 * 1.24);

/// Charts are drawn in stand-ins for colors, which are then replaced by the theme's own.
const INK: RGBColor = RGBColor(1, 0, 0);
const RULE: RGBColor = RGBColor(2, 0, 0);
const SERIES: [RGBColor; 4] = [RGBColor(3, 0, 0), RGBColor(4, 0, 0), RGBColor(5, 0, 0), RGBColor(6, 0, 0)];
const THEME: [(&str, &str); 6] = [
    ("#010000", "--wb-ink"),
    ("#020000", "--wb-box"),
    ("#030000", "--wb-process"),
    ("#040000", "--wb-open"),
    ("#050000", "--wb-file"),
    ("#060000", "--wb-bad"),
];

/// A chart: up to four series of points, each joined by a line, or drawn as bars over categories. See
/// [`Lab::draw`](crate::Lab::draw).
#[derive(Debug, Clone)]
pub struct Plot {
    /// What the chart is about, in a few words.
    pub title: &'static str,
    /// The axis from left to right: what was varied.
    pub x: Axis,
    /// The axis upwards: what was measured.
    pub y: Axis,
    /// What is compared: the name of each, and its points in the order of x.
    pub series: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// One axis of a chart.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    what: &'static str,
    unit: &'static str,
    log: bool,
    /// Values between which there is nothing, so that no line may join them.
    categories: bool,
}

impl Axis {
    /// An axis that begins at 0. A count has the unit "number".
    pub const fn linear(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, log: false, categories: false }
    }

    /// An axis with as much room for 1 to 10 as for 10 to 100. It cannot show 0.
    pub const fn log(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, log: true, categories: false }
    }

    /// An axis of things that are numbered from 1. Each series has a bar for each of them.
    pub const fn categories(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, log: false, categories: true }
    }

    pub(crate) fn label(self) -> String {
        format!("{} ({})", self.what, self.unit)
    }

    /// The range of the axis: whole powers of ten, or from 0 to a little above the largest value.
    fn range(self, values: impl Iterator<Item = f64> + Clone) -> Result<Range<f64>> {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        let fits = least.is_finite() && most.is_finite() && if self.log { least > 0.0 } else { least >= 0.0 };
        if !fits || most <= 0.0 {
            return Err(format!(
                "values from {least} to {most} cannot be drawn on the axis of {}",
                self.what
            )
            .into());
        }
        Ok(match self.log {
            true => {
                let first = least.log10().floor();
                10_f64.powf(first)..10_f64.powf(most.log10().ceil().max(first + 1.0))
            }
            false if self.categories => 0.5..most + 0.5,
            false => 0.0..most * 1.05,
        })
    }
}

impl Plot {
    /// The chart as an SVG element.
    pub(crate) fn svg(&self) -> Result<String> {
        let mut out = String::new();
        let root = SVGBackend::with_string(&mut out, SIZE).into_drawing_area();
        let points = self.series.iter().flat_map(|(_, points)| points);
        let x = self.x.range(points.clone().map(|point| point.0))?;
        let y = self.y.range(points.map(|point| point.1))?;
        // Room for the largest number: its full width beside the upward axis, half of it at the end of the other.
        let width = |largest: f64| 9 * number(largest).chars().count() as u32;
        let room = (width(y.end) + 12, width(x.end) / 2 + 4);
        match (self.x.log, self.y.log) {
            (false, false) => self.draw(&root, room, x, y),
            (false, true) => self.draw(&root, room, x, logarithmic(y)),
            (true, false) => self.draw(&root, room, logarithmic(x), y),
            (true, true) => self.draw(&root, room, logarithmic(x), logarithmic(y)),
        }?;
        root.present()?;
        drop(root);
        Ok(themed(&out))
    }

    fn draw<'a, X, Y>(
        &self,
        root: &DrawingArea<SVGBackend<'a>, Shift>,
        room: (u32, u32),
        x: X,
        y: Y,
    ) -> Result
    where
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        // Above the chart are the label of the upward axis and the names of the series, in lines that need not be turned.
        let (head, body) = root.split_vertically(58);
        let font = FONT.into_font().color(&INK);
        head.draw(&Text::new(self.y.label(), (8, 6), font.clone()))?;
        let column = SIZE.0.cast_signed() / i32::try_from(self.series.len())?;
        for (i, (name, _)) in self.series.iter().enumerate() {
            let left = 8 + column * i32::try_from(i)?;
            head.draw(&mark(i, (left + 6, 42)))?;
            head.draw(&Text::new(*name, (left + 18, 35), font.clone()))?;
        }
        let mut chart = ChartBuilder::on(&body)
            .margin_top(8)
            .margin_right(room.1)
            .margin_bottom(12)
            .x_label_area_size(56)
            .y_label_area_size(room.0)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(RULE.mix(0.5))
            .light_line_style(TRANSPARENT)
            .label_style(font)
            .x_labels(if self.x.categories { 9 } else { 6 })
            .y_labels(6)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| number(*value))
            .x_desc(self.x.label())
            .draw()?;
        for (i, (_, points)) in self.series.iter().enumerate() {
            if self.x.categories {
                // The bars of all series stand side by side over each category, with its series' mark on top.
                let width = 0.8 / self.series.len() as f64;
                let left = |x: f64| x - 0.4 + width * i as f64;
                let bar = |(x, y): &(f64, f64)| {
                    Rectangle::new([(left(*x), 0.0), (left(*x) + 0.85 * width, *y)], color(i).filled())
                };
                chart.draw_series(points.iter().map(bar))?;
                chart.draw_series(points.iter().map(|(x, y)| mark(i, (left(*x) + 0.42 * width, *y))))?;
                continue;
            }
            chart.draw_series(LineSeries::new(points.iter().copied(), color(i).stroke_width(2)))?;
            chart.draw_series(points.iter().map(|point| mark(i, *point)))?;
        }
        Ok(())
    }
}

/// A little wider, so that rounding leaves neither the first nor the last power of ten outside.
fn logarithmic(range: Range<f64>) -> LogCoord<f64> {
    (range.start * (1.0 - 1e-9)..range.end * (1.0 + 1e-9)).log_scale().into()
}

fn color(series: usize) -> RGBColor {
    SERIES[series % SERIES.len()]
}

/// A point of a series: each series has a shape of its own beside its color.
fn mark<'a, C: Clone + 'static>(series: usize, at: C) -> DynElement<'static, SVGBackend<'a>, C> {
    let color = color(series);
    match series % SERIES.len() {
        0 => Circle::new(at, 5, color.filled()).into_dyn(),
        1 => TriangleMarker::new(at, 7, color.filled()).into_dyn(),
        2 => Cross::new(at, 5, color.stroke_width(3)).into_dyn(),
        _ => Circle::new(at, 5, color.stroke_width(2)).into_dyn(),
    }
}

/// The chart in the theme's colors; outside the book, which has the theme, in the text's color.
fn themed(svg: &str) -> String {
    THEME.iter().fold(svg.replace(" opacity=\"1\"", ""), |svg, (stand_in, color)| {
        svg.replace(&format!("\"{stand_in}\""), &format!("\"var({color}, currentColor)\""))
    })
}

/// Three digits are enough for a measured value; whole numbers keep all of theirs, in groups of three.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 {
        let decimals = if value >= 10.0 { 1 } else { 2 };
        let text = format!("{value:.decimals$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && digits.len() > 4 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}'); // a narrow space at which no line breaks
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_have_three_digits_and_whole_ones_all() {
        let numbers = [0.0, 0.25, 1.0, 12.34, 99.96, 250.4, 4096.0, 65536.0, 1e6].map(number);
        assert_eq!(
            numbers,
            ["0", "0.25", "1", "12.3", "100", "250", "4096", "65\u{202f}536", "1\u{202f}000\u{202f}000"]
        );
    }

    #[test]
    fn a_logarithmic_axis_spans_whole_powers_of_ten_and_refuses_zero() {
        let axis = Axis::log("descriptors", "number");
        assert_eq!(axis.range([3.0, 9000.0].into_iter()).unwrap(), 1.0..10000.0);
        assert_eq!(axis.range([1.0].into_iter()).unwrap(), 1.0..10.0);
        assert!(axis.range([0.0, 9000.0].into_iter()).is_err());
        assert!(axis.range([].into_iter()).is_err());
    }
}
