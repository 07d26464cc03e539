//! Cost by what one account has.

use super::measure::{job_point, series};
use super::{Point, Series};
use crate::load::requests::Template;
use crate::load::{Job, callers, run_all};
use crate::options::Options;
use crate::server::Server;
use crate::setup::Setup;

/// Grants that are still there: at most as many as an account may have.
const GRANTS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
/// Credits of all grants together; each is large enough for many charges.
const CREDITS: u32 = 100_000_000;
const ENTRIES: [u32; 5] = [10, 100, 1_000, 10_000, 100_000];
/// The largest batch.
const BATCH_MAX: u32 = 10_000;
/// How many make the calls.
const CALLERS: usize = 16;

pub fn grants(options: &Options, setup: &Setup) -> Result<Vec<Series>, String> {
    let directory = setup.directory()?;
    let server = Server::start(&setup.program, directory.path())?;
    let (charge, balance) = (Template::charge(true), Template::balance(None));
    let (mut next_id, mut points) = (1, Vec::new());
    for (account, grants) in (0..).zip(GRANTS) {
        let grant = Template::grant(&(CREDITS / grants).to_string());
        calls(&server, &grant, account, next_id, grants.into())?;
        next_id += u64::from(grants);
        points.push([
            point(options, &server, &balance, account, (grants, 0))?,
            // Far from all other ids.
            point(
                options,
                &server,
                &charge,
                account,
                (grants, 1_000_000_000 * (u64::from(account) + 1)),
            )?,
        ]);
    }
    server.stop()?;
    Ok(series(["GetBalance", "Charge"], points))
}

pub fn entries(options: &Options, setup: &Setup) -> Result<Vec<Series>, String> {
    let directory = setup.directory()?;
    let server = Server::start(&setup.program, directory.path())?;
    let (grant, balance) = (Template::grant("1000000"), Template::balance(None));
    let list = Template::entries();
    let (mut next_id, mut points) = (1, Vec::new());
    for (account, entries) in (0..).zip(ENTRIES) {
        calls(&server, &grant, account, next_id, 1)?;
        next_id += 1;
        // One half, a moment, and the other half.
        let half = (entries / 2).min(BATCH_MAX);
        let batch = Template::batch(usize::try_from(half).unwrap_or_default(), true);
        let (before, after) = halves((entries - 1) / half);
        calls(&server, &batch, account, next_id, before)?;
        next_id += before * u64::from(half);
        let then = Template::balance(Some(now()));
        calls(&server, &batch, account, next_id, after)?;
        next_id += after * u64::from(half);
        let single = Template::charge(true);
        let rest = u64::from((entries - 1) % half);
        calls(&server, &single, account, next_id, rest)?;
        next_id += rest;
        let at = (entries, 0);
        points.push([
            point(options, &server, &balance, account, at)?,
            point(options, &server, &then, account, at)?,
            point(options, &server, &list, account, at)?,
        ]);
    }
    server.stop()?;
    let names = [
        "GetBalance",
        "GetBalance as of half of them",
        "ListEntries, 50",
    ];
    Ok(series(names, points))
}

fn halves(whole: u32) -> (u64, u64) {
    let half = u64::from(whole / 2);
    (u64::from(whole) - half, half)
}

/// Some calls about one account, all of them answered.
fn calls(
    server: &Server,
    template: &Template,
    account: u32,
    first_id: u64,
    count: u64,
) -> Result<(), String> {
    if count == 0 {
        return Ok(());
    }
    let mut job = Job {
        first_id,
        account: Box::new(move |_| account),
        calls_max: Some(count),
        ..Job::of(template)
    };
    run_all(&server.address, &mut job, callers(CALLERS)).map(|_| ())
}

/// Calls about one account, measured.
fn point(
    options: &Options,
    server: &Server,
    template: &Template,
    account: u32,
    (x, first_id): (u32, u64),
) -> Result<Point, String> {
    // Where it is measured twice, no id comes again.
    let runs = std::cell::Cell::new(0);
    let job = || {
        runs.set(runs.get() + 1);
        Job {
            first_id: first_id + runs.get() * 100_000_000,
            account: Box::new(move |_| account),
            ..Job::of(template)
        }
    };
    job_point(options, server, x, job, callers(CALLERS))
}

/// The time as the server sees it too: they run on one machine.
#[allow(clippy::disallowed_methods)]
fn now() -> prost_types::Timestamp {
    std::time::SystemTime::now().into()
}
