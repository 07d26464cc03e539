//! A large data file, made over the wire: memory with many accounts, and a start.

use std::time::Duration;

use super::row::{Goal, Row};
use super::{Book, MIB, Server, callers};
use crate::load::requests::Template;
use crate::load::{Whom, run_all};
use crate::machine::resident_bytes;
use crate::options::Options;
use crate::setup::Setup;
use crate::text::thousands;

/// What an entry takes on disk, with its request_id and what SQLite's log holds meanwhile;
/// more than was ever seen.
const ENTRY_BYTES: u64 = 600;
/// Charges in a batch: as many as it can have.
const BATCH: usize = 10_000;
/// How often it says how far it is.
const STEPS: u32 = 10;
/// Of so many accounts one is read at the end: most are no longer in memory.
const CHECKED: u32 = 10;
const MEMORY_MIB: f64 = 400.0;
const START_SECONDS: f64 = 2.0;

pub fn rows(options: &Options, setup: &Setup, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let accounts = options.big_accounts;
    let entries = options.big_entries.max(accounts.into());
    let memory = format!("Memory, {} accounts", thousands(accounts));
    let start = format!(
        "Start, {} accounts, {} entries",
        thousands(accounts),
        thousands(entries)
    );
    let (memory_goal, start_goal) = (Goal::AtMost(MEMORY_MIB), Goal::AtMost(START_SECONDS));
    if !options.wants(&memory) && !options.wants(&start) {
        return Ok(());
    }
    let mut missing = |why: &str| {
        add(Row::missing(&memory, "MiB", memory_goal, why));
        add(Row::missing(&start, "s", start_goal, why));
        Ok(())
    };
    if accounts < STEPS || options.big_entries == 0 {
        return missing("left out by --big-accounts or --big-entries");
    }
    let (needed, free) = (entries * ENTRY_BYTES, setup.free_bytes()?);
    let gigabytes = |bytes: u64| bytes.div_ceil(1_000_000_000);
    let room = format!(
        "a data file of {} accounts and {} entries takes up to {} GB; {} GB are free",
        thousands(accounts),
        thousands(entries),
        gigabytes(needed),
        gigabytes(free),
    );
    setup.say(&room);
    if free < needed {
        return missing(&room);
    }
    let directory = setup.directory()?;
    let server = Server::start(&setup.program, directory.path())?;
    let filled = fill(setup, &server, accounts, entries);
    filled.map_err(|error| server.explain(&error))?;
    std::thread::sleep(Duration::from_secs(2));
    let resident = |server: &Server| {
        let bytes = resident_bytes(server.pid());
        bytes.map(|bytes| bytes as f64 / MIB)
    };
    add(Row::of_one(&memory, "MiB", memory_goal, resident(&server)));
    setup.say("it is stopped and started again");
    server.stop()?;
    let file = std::fs::metadata(directory.path().join("creditd.db"));
    let file = file.map_or(0, |file| file.len());
    let server = Server::start(&setup.program, directory.path())?;
    let seconds = server.started_in.as_secs_f64();
    let row = Row::of_one(&start, "s", start_goal, Some(seconds)).noting(format!(
        "{} request_ids, all of them live; a file of {} MB, which the system has read before; {:.0} \
         MiB of memory after it",
        thousands(entries),
        thousands(file / 1_000_000),
        resident(&server).unwrap_or_default(),
    ));
    add(row);
    server.stop()
}

/// Opens the accounts and charges them until there are so many entries, some accounts after
/// the others, so that those that are charged are in memory. Then it reads some of all.
fn fill(setup: &Setup, server: &Server, accounts: u32, entries: u64) -> Result<(), String> {
    let mut book = Book::new(&server.address, accounts - 1);
    let template = Template::batch(BATCH, true);
    let batches = (entries - u64::from(accounts)).div_ceil(template.items());
    let part = |whole: u64, step: u32| whole * u64::from(step) / u64::from(STEPS);
    for step in 0..STEPS {
        let end = |step| u32::try_from(part(accounts.into(), step)).unwrap_or(accounts);
        let some = end(step)..end(step + 1);
        book.open_accounts(some.clone())?;
        let calls = part(batches, step + 1) - part(batches, step);
        book.charge(&template, Whom::Each(some), |address, job| {
            job.calls_max = Some(calls);
            run_all(address, job, callers(4))
        })?;
        setup.say(&format!(
            "{} accounts with {} charges are made",
            thousands(end(step + 1)),
            thousands(part(batches, step + 1) * template.items()),
        ));
    }
    let charges = thousands(book.check_each(CHECKED)?);
    setup.say(&format!(
        "all {charges} charges of one account in {CHECKED} are in the balances"
    ));
    Ok(())
}
