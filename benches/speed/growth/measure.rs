//! One point: what a call costs the server, and how long its caller waits.

use std::time::Duration;

use super::{Point, Series};
use crate::load::{Job, Seen, Shape, run_for};
use crate::machine::processor_nanos;
use crate::options::Options;
use crate::server::Server;

const WARM_UP: Duration = Duration::from_millis(200);
/// A point is measured for so much less than a row is.
const TIME_DIVISOR: u32 = 5;
/// Fewer answers say little: then it is measured for longer.
const ANSWERS_MIN: u64 = 20;
const LONGER: u32 = 5;

/// Measures what `run` runs, for some time that it is told.
pub fn point(
    options: &Options,
    server: &Server,
    x: u32,
    items: u64,
    mut run: impl FnMut((Duration, Duration), &mut dyn FnMut()) -> Result<Seen, String>,
) -> Result<Point, String> {
    let mut time = options.times().1 / TIME_DIVISOR;
    let mut used = Vec::new();
    let mut measure = |time| {
        used.clear();
        let mut look = || used.extend(processor_nanos(server.pid()));
        let seen = run((WARM_UP, time), &mut look)?;
        let nanos = match used[..] {
            [begin, end] => Some(end.saturating_sub(begin)),
            _ => None,
        };
        Ok::<_, String>((seen, nanos))
    };
    let (mut seen, mut nanos) = measure(time)?;
    if seen.answered < ANSWERS_MIN {
        time *= LONGER;
        (seen, nanos) = measure(time)?;
    }
    if seen.answered == 0 {
        return Err("nothing was answered in the time".to_owned());
    }
    let all = (seen.answered * items) as f64;
    Ok(Point {
        x,
        server_micros: nanos.map(|nanos| nanos as f64 / 1e3 / all),
        median_millis: seen.calls.p50_nanos as f64 / 1e6,
    })
}

/// The same of a job whose calls leave nothing to check.
pub fn job_point<'a>(
    options: &Options,
    server: &Server,
    x: u32,
    job: impl Fn() -> Job<'a>,
    shape: Shape,
) -> Result<Point, String> {
    let items = job().template.items();
    point(options, server, x, items, |times, look| {
        run_for(&server.address, &mut job(), shape, times, look)
    })
}

/// Puts points under the names of their series, the same ones at each x.
pub fn series<const N: usize>(names: [&'static str; N], points: Vec<[Point; N]>) -> Vec<Series> {
    let of = |position: usize| points.iter().map(|at| at[position]).collect();
    let names = names.into_iter().enumerate();
    names
        .map(|(position, name)| Series {
            name,
            points: of(position),
        })
        .collect()
}
