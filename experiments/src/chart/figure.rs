//! The file that `--draw` writes: an experiment's charts, described in words too, with the machine named under them. It
//! is built like the book's own figures, so that a page can include it and it follows the theme.

use std::fmt::Write;
use std::fs;

use nix::sys::utsname::uname;

use super::{Plot, SIZE, number};
use crate::verdict::Result;

/// All charts of one experiment, as a figure of the book: `name` begins the ids in it.
pub(crate) fn figure(name: &str, plots: &[Plot]) -> Result<String> {
    let mut out = String::from("<figure>\n");
    for (i, plot) in plots.iter().enumerate() {
        let id = format!("{name}-{}", i + 1);
        let drawn = plot.svg()?;
        let (_, drawn) = drawn.split_once('>').ok_or("an SVG without its first element")?;
        let (width, height) = SIZE;
        writeln!(
            out,
            "<svg class=\"figure\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" viewBox=\"0 0 {width} {height}\">\n\
             <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>{}",
            escaped(plot.title),
            escaped(&words(plot)),
            drawn.trim_end()
        )?;
    }
    writeln!(out, "<figcaption>Measured on {}.</figcaption>\n</figure>", escaped(&machine()?))?;
    Ok(out)
}

/// What the chart shows, for readers who do not see it.
fn words(plot: &Plot) -> String {
    let mut words = format!("Upwards: {}. From left to right: {}.", plot.y.label(), plot.x.label());
    for (name, points) in &plot.series {
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            let [x, y, to_x, to_y] = [first.0, first.1, last.0, last.1].map(number);
            let _ = write!(words, " {name}: from {y} at {x} to {to_y} at {to_x}.");
        }
    }
    words
}

/// The processor, how many there are, and the kernel.
fn machine() -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let processors = std::thread::available_parallelism()?;
    let kernel = uname()?.release().to_string_lossy().into_owned();
    let version = kernel.split_once('-').map_or(&*kernel, |(version, _)| version);
    let processors =
        if processors.get() == 1 { "1 processor".into() } else { format!("{processors} processors") };
    Ok(format!("{model}, {processors}, Linux {version}"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
