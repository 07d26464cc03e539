//! Cost by what a server has, and by how it is called.

use std::fmt::Write as _;

use super::measure::{job_point, point, series};
use super::{Point, Series};
use crate::load::requests::{SERVICE, Template};
use crate::load::{Book, Job, Shape, Whom, callers, run_for};
use crate::options::Options;
use crate::server::Server;
use crate::setup::{Setup, at};

const ACCOUNTS: [u32; 4] = [100, 1_000, 10_000, 100_000];
/// The last ones only where a card can have so many.
const SERVICES: [u32; 6] = [1, 10, 100, 1_000, 4_096, 10_000];
const ITEMS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const CONNECTIONS: [u32; 6] = [1, 4, 16, 64, 256, 1_024];
/// How many make the calls, and how many of them send batches.
const CALLERS: usize = 64;
const BATCH_CALLERS: usize = 4;

pub fn accounts(options: &Options, setup: &Setup) -> Result<Vec<Series>, String> {
    let (charge, balance) = (Template::charge(false), Template::balance(None));
    let mut points = Vec::new();
    for accounts in ACCOUNTS {
        let directory = setup.directory()?;
        let server = Server::start(&setup.program, directory.path())?;
        let mut book = Book::new(&server.address, accounts - 1);
        book.open_all()?;
        let read = || Job {
            account: Box::new(move |call| (call % u64::from(accounts)) as u32),
            ..Job::of(&balance)
        };
        points.push([
            job_point(options, &server, accounts, read, callers(CALLERS))?,
            charged(
                options,
                &server,
                &mut book,
                &charge,
                accounts,
                callers(CALLERS),
            )?,
        ]);
        book.check_balances()?;
        server.stop()?;
    }
    Ok(series(["GetBalance", "Charge"], points))
}

pub fn services(options: &Options, setup: &Setup) -> Result<Vec<Series>, String> {
    let template = Template::estimate(None);
    let mut points = Vec::new();
    for services in SERVICES {
        let directory = setup.directory()?;
        let file = directory.path().join("card.toml");
        std::fs::write(&file, card(services)).map_err(|error| at(&file, error))?;
        let file = file.to_string_lossy();
        let more = ["--rate-card-file", &*file];
        let server = match Server::start_with(&setup.program, directory.path(), &more) {
            Ok(server) => server,
            Err(error) if points.is_empty() => return Err(error),
            Err(_) => {
                setup.say(&format!("a card of {services} services is refused"));
                continue;
            }
        };
        let job = || Job {
            account: Box::new(move |call| (call % u64::from(services)) as u32),
            ..Job::of(&template)
        };
        points.push([job_point(
            options,
            &server,
            services,
            job,
            callers(CALLERS),
        )?]);
        server.stop()?;
    }
    Ok(series(["Estimate"], points))
}

/// A rate card with so many services, named by their numbers.
fn card(services: u32) -> String {
    let mut text = "format = 1\nname = \"many\"\ntitle = \"Many services\"\n".to_owned();
    for service in 0..services {
        write!(
            text,
            "\n[[service]]\nkey = \"{service:012}\"\ntitle = \"Service {service}\"\n\
             rule = \"1 credit per 125 seconds\"\nmeter = \"duration\"\n\
             price = {{ model = \"pro_rata\", credits = \"1\", per = \"125s\", rounding = \"up\" }}\n"
        )
        .expect("a string takes it");
    }
    text
}

pub fn batch(options: &Options, setup: &Setup) -> Result<Vec<Series>, String> {
    let directory = setup.directory()?;
    let server = Server::start(&setup.program, directory.path())?;
    let mut book = Book::new(&server.address, options.accounts);
    book.open_all()?;
    let mut points = Vec::new();
    for items in ITEMS {
        let length = usize::try_from(items).unwrap_or_default();
        let (estimates, charges) = (Template::estimates(length), Template::batch(length, false));
        // Each of its items is a usage, which the template does not number.
        let mut estimated = job_point(
            options,
            &server,
            items,
            || Job::of(&estimates),
            callers(BATCH_CALLERS),
        )?;
        estimated.server_micros = estimated
            .server_micros
            .map(|micros| micros / f64::from(items));
        let shape = callers(BATCH_CALLERS);
        let charged = charged(options, &server, &mut book, &charges, items, shape)?;
        points.push([estimated, charged]);
    }
    book.check_balances()?;
    server.stop()?;
    Ok(series(["BatchEstimate", "BatchCharge"], points))
}

pub fn connections(options: &Options, setup: &Setup) -> Result<Vec<Series>, String> {
    let directory = setup.directory()?;
    let server = Server::start(&setup.program, directory.path())?;
    let mut book = Book::new(&server.address, options.accounts);
    book.open_all()?;
    let (estimate, charge) = (Template::estimate(Some(SERVICE)), Template::charge(false));
    let mut points = Vec::new();
    for connections in CONNECTIONS {
        let shape = Shape {
            callers: CALLERS,
            connections: usize::try_from(connections).unwrap_or_default(),
            hops: true,
            arrivals: None,
            sheds: false,
        };
        points.push([
            job_point(options, &server, connections, || Job::of(&estimate), shape)?,
            charged(options, &server, &mut book, &charge, connections, shape)?,
        ]);
    }
    book.check_balances()?;
    server.stop()?;
    Ok(series(["Estimate", "Charge"], points))
}

/// Charges over all accounts, measured.
fn charged(
    options: &Options,
    server: &Server,
    book: &mut Book,
    template: &Template,
    x: u32,
    shape: Shape,
) -> Result<Point, String> {
    point(options, server, x, template.items(), |times, look| {
        book.charge(template, Whom::TheOthers, |address, job| {
            run_for(address, job, shape, times, look)
        })
    })
}
