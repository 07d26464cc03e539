//! How cost grows: with accounts, with what an account has, with services on a card, items
//! in a batch and connections. Each plot is a server of its own over a new data file.

mod account;
mod measure;
mod server;

use std::path::Path;

use serde::Serialize;

use crate::options::Options;
use crate::setup::{Setup, at};
use crate::svg;
use crate::text::{figure, thousands};

/// Cost by one number.
#[derive(Debug, Serialize)]
pub struct Plot {
    /// Also of its file.
    pub name: &'static str,
    pub title: &'static str,
    /// What is counted along the axis.
    pub x: &'static str,
    /// What the server's time is divided by: "call" or "item".
    pub each: &'static str,
    pub series: Vec<Series>,
}

/// One kind of call.
#[derive(Debug, Serialize)]
pub struct Series {
    pub name: &'static str,
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    pub x: u32,
    /// Processor time of the server; None where the system does not say.
    pub server_micros: Option<f64>,
    /// Of a call, as its caller saw it.
    pub median_millis: f64,
}

/// What measures a plot.
type Measure = fn(&Options, &Setup) -> Result<Vec<Series>, String>;

/// Measures all plots, prints their figures and draws them.
pub fn run(options: &Options, setup: &Setup) -> Result<Vec<Plot>, String> {
    let plots: [(Plot, Measure); 6] = [
        (
            plot("accounts", "Number of accounts", "accounts", "call"),
            server::accounts,
        ),
        (
            plot("grants", "Grants of an account", "live grants", "call"),
            account::grants,
        ),
        (
            plot("entries", "Entries of an account", "entries", "call"),
            account::entries,
        ),
        (
            plot("services", "Services on a rate card", "services", "call"),
            server::services,
        ),
        (
            plot("batch", "Items of a batch", "items in a call", "item"),
            server::batch,
        ),
        (
            plot(
                "connections",
                "Connections, 64 callers",
                "connections",
                "call",
            ),
            server::connections,
        ),
    ];
    let place = match &options.plots {
        Some(place) => place.clone(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/growth"),
    };
    std::fs::create_dir_all(&place).map_err(|error| at(&place, error))?;
    let mut done = Vec::new();
    for (mut plot, measure) in plots {
        let name = format!("growth by {}", plot.name);
        if !options.wants(&name) {
            continue;
        }
        setup.say(&name);
        plot.series = measure(options, setup).map_err(|error| format!("{name}: {error}"))?;
        print(&plot);
        let file = place.join(plot.name).with_extension("svg");
        std::fs::write(&file, svg::draw(&chart(&plot))).map_err(|error| at(&file, error))?;
        done.push(plot);
    }
    setup.say(&format!("the plots are in {}", place.display()));
    Ok(done)
}

/// A panel for the server's time and one for what callers wait.
fn chart(plot: &Plot) -> svg::Chart<'_> {
    let series = plot.series.iter().map(|series| svg::Series {
        name: series.name,
        points: (series.points.iter())
            .map(|point| svg::Point {
                x: f64::from(point.x),
                values: [point.server_micros, Some(point.median_millis)],
            })
            .collect(),
    });
    svg::Chart {
        title: plot.title,
        x: plot.x,
        panels: match plot.each {
            "item" => ["server µs an item", "median ms a call"],
            _ => ["server µs a call", "median ms a call"],
        },
        series: series.collect(),
    }
}

const fn plot(
    name: &'static str,
    title: &'static str,
    x: &'static str,
    each: &'static str,
) -> Plot {
    Plot {
        name,
        title,
        x,
        each,
        series: Vec::new(),
    }
}

fn print(plot: &Plot) {
    println!();
    let (x, server) = (plot.x, format!("server µs/{}", plot.each));
    println!(
        "{:<24} {x:>16} {server:>16} {:>11}",
        plot.title, "median ms"
    );
    for series in &plot.series {
        for point in &series.points {
            let micros = point.server_micros;
            println!(
                "{:<24} {:>16} {:>16} {:>11.3}",
                series.name,
                thousands(point.x),
                micros.map_or_else(|| "-".to_owned(), figure),
                point.median_millis,
            );
        }
    }
}
