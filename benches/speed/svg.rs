//! Plots as SVG, which a browser shows by day and by night.

use std::fmt::Write as _;

use crate::text::{figure, thousands};

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 340.0;
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}
.bg{fill:#fff}
.grid{stroke:#d1d9e0}
.axis{stroke:#59636e}
text.value{stroke:#fff;stroke-width:3px;paint-order:stroke}
.line{fill:none;stroke-width:2}
.c0{stroke:#0969da}.f0{fill:#0969da}
.c1{stroke:#bc4c00}.f1{fill:#bc4c00}
.c2{stroke:#1a7f37}.f2{fill:#1a7f37}
.c3{stroke:#8250df}.f3{fill:#8250df}
.c4{stroke:#bf3989}.f4{fill:#bf3989}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}
.bg{fill:#0d1117}
text.value{stroke:#0d1117}
.grid{stroke:#3d444d}
.axis{stroke:#9198a1}
.c0{stroke:#4493f8}.f0{fill:#4493f8}
.c1{stroke:#f0883e}.f1{fill:#f0883e}
.c2{stroke:#3fb950}.f2{fill:#3fb950}
.c3{stroke:#a371f7}.f3{fill:#a371f7}
.c4{stroke:#f778ba}.f4{fill:#f778ba}
}";

/// Two panels over one axis.
pub struct Chart<'a> {
    pub title: &'a str,
    /// What is counted along the axis.
    pub x: &'a str,
    /// What each panel shows.
    pub panels: [&'a str; 2],
    pub series: Vec<Series<'a>>,
}

/// Lines of one colour, one in each panel.
pub struct Series<'a> {
    pub name: &'a str,
    pub points: Vec<Point>,
}

/// A place on the axis, and the value in each panel.
pub struct Point {
    pub x: f64,
    pub values: [Option<f64>; 2],
}

/// Draws both panels.
pub fn draw(plot: &Chart<'_>) -> String {
    let mut svg = String::new();
    let out = &mut svg;
    line(
        out,
        &format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{}">"#,
            plot.title
        ),
    );
    line(out, &format!("<style>\n{STYLE}\n</style>"));
    line(out, r#"<rect class="bg" width="100%" height="100%"/>"#);
    text(out, (16.0, 24.0), "start", "title", plot.title);
    let mut x = 16.0;
    for (number, series) in plot.series.iter().enumerate() {
        text(out, (x, 46.0), "start", &format!("f{number}"), series.name);
        x += series.name.len() as f64 * 6.6 + 24.0;
    }
    panel(out, plot, 0, 0.0);
    panel(out, plot, 1, WIDTH / 2.0);
    line(out, "</svg>");
    svg
}

/// A rectangle of the page, and how values stand in it.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Scale,
    y: Scale,
}

fn panel(out: &mut String, plot: &Chart<'_>, number: usize, left: f64) {
    let value = |point: &Point| point.values[number];
    let points = plot.series.iter().flat_map(|series| &series.points);
    let xs: Vec<f64> = points.clone().map(|point| point.x).collect();
    let ys: Vec<f64> = points.filter_map(value).collect();
    let frame = Frame {
        left: left + 62.0,
        right: left + WIDTH / 2.0 - 34.0,
        top: 96.0,
        bottom: HEIGHT - 46.0,
        x: Scale::along(&xs),
        y: Scale::up(&ys),
    };
    text(out, (left + 16.0, 68.0), "start", "", plot.panels[number]);
    axes(out, &frame, &xs, plot.x);
    // The values at an x, of whatever series, so that their texts keep apart.
    let mut others: Vec<(f64, f64)> = Vec::new();
    for series in &plot.series {
        let at = |point: &Point| Some((point.x, value(point)?));
        others.extend(series.points.iter().filter_map(at));
    }
    for (number, series) in plot.series.iter().enumerate() {
        let mut path = String::new();
        let mut marks = String::new();
        for point in &series.points {
            let Some(y_value) = value(point) else {
                continue;
            };
            let (x, y) = frame.place(point.x, y_value);
            let step = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{step}{x:.1} {y:.1}");
            let mark = format!(r#"<circle class="f{number}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#);
            line(&mut marks, &mark);
            let above = |(other, height): &(f64, f64)| {
                (other - point.x).abs() < 0.01 * point.x && *height > y_value
            };
            // Below its point where another value is above it, and there is room.
            let below = others.iter().any(above) && y + 20.0 < frame.bottom;
            let dy = if below { 18.0 } else { -9.0 };
            let class = format!("value f{number}");
            text(&mut marks, (x, y + dy), "middle", &class, &figure(y_value));
        }
        line(
            out,
            &format!(r#"<path class="line c{number}" d="{path}"/>"#),
        );
        out.push_str(&marks);
    }
}

fn axes(out: &mut String, frame: &Frame, xs: &[f64], label: &str) {
    let (left, right, bottom) = (frame.left, frame.right, frame.bottom);
    let mut stroke = |class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)| {
        line(
            out,
            &format!(
                r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
            ),
        );
    };
    for tick in frame.y.ticks() {
        let (_, y) = frame.place(1.0, tick);
        stroke("grid", (left, y), (right, y));
    }
    stroke("axis", (left, bottom), (right, bottom));
    let mut seen: Vec<f64> = xs.to_vec();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    for x_value in &seen {
        let (x, _) = frame.place(*x_value, 1.0);
        stroke("axis", (x, bottom), (x, bottom + 5.0));
    }
    for tick in frame.y.ticks() {
        let (_, y) = frame.place(1.0, tick);
        text(out, (left - 8.0, y + 4.0), "end", "", &short(tick));
    }
    let mut free = f64::NEG_INFINITY;
    for x_value in seen {
        let (x, _) = frame.place(x_value, 1.0);
        let words = short(x_value);
        let half = words.len() as f64 * 3.4;
        if x - half > free {
            text(out, (x, bottom + 19.0), "middle", "", &words);
            free = x + half + 4.0;
        }
    }
    let middle = f64::midpoint(left, right);
    text(out, (middle, bottom + 37.0), "middle", "", label);
}

impl Frame {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.x.part(x) * (self.right - self.left),
            self.bottom - self.y.part(y) * (self.bottom - self.top),
        )
    }
}

/// From one value to another, by their logarithms or evenly.
struct Scale {
    from: f64,
    to: f64,
    /// From tick to tick; None: by logarithms.
    step: Option<f64>,
}

impl Scale {
    /// Of an x axis, with some room on both sides.
    fn along(values: &[f64]) -> Self {
        let (least, most) = ends(values);
        let room = (most / least).max(2.0).powf(0.06);
        Self {
            from: least / room,
            to: most * room,
            step: None,
        }
    }

    /// Of a y axis: from 0, or where values differ much by powers of 10.
    fn up(values: &[f64]) -> Self {
        let (least, most) = ends(values);
        if least > 0.0 && most / least >= 8.0 {
            return Self {
                from: 10_f64.powf(least.log10().floor()),
                to: 10_f64.powf(most.log10().ceil()),
                step: None,
            };
        }
        let step = step(most);
        Self {
            from: 0.0,
            to: step * (most / step).ceil(),
            step: Some(step),
        }
    }

    fn part(&self, value: f64) -> f64 {
        match self.step {
            None => (value / self.from).ln() / (self.to / self.from).ln(),
            Some(_) => (value - self.from) / (self.to - self.from),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![self.from];
        while let Some(last) = ticks.last().copied().filter(|last| *last < self.to * 0.999) {
            ticks.push(self.step.map_or(last * 10.0, |step| last + step));
        }
        ticks
    }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    (least.min(most), most)
}

/// A round step that goes into a value about four times.
fn step(value: f64) -> f64 {
    let rough = value / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(rough)
}

/// A round number without zeros at its end.
fn short(tick: f64) -> String {
    if tick >= 1_000.0 {
        return thousands(tick.round());
    }
    let text = format!("{tick:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    let place = format!(r#"x="{x:.1}" y="{y:.1}" text-anchor="{anchor}""#);
    line(
        out,
        &format!(r#"<text class="{class}" {place}>{words}</text>"#),
    );
}
