//! What was granted and charged on a server, and whether its balances say the same.

use creditd::domain::Credits;
use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;

use super::job::Job;
use super::requests::{BATCH_CHARGE, CHARGED, GRANTED, Template, all_charged};
use super::run::{Seen, run_all};

/// How many callers open the accounts and read them at the end.
const SETUP_CALLERS: usize = 512;
/// A number without a divisor in common with any number of accounts that is likely:
/// steps of it come by all accounts in no order that a cache would know.
const STEP: u64 = 7_368_787;

/// Which accounts are charged.
#[derive(Clone, Debug)]
pub enum Whom {
    /// The first alone.
    TheFirst,
    /// All but the first, in no order.
    TheOthers,
    /// Those of a range, one after another, again and again.
    Each(std::ops::Range<u32>),
}

/// Accounts of a server, numbered from 0; the first is the busy one.
pub struct Book {
    pub address: String,
    /// Ids of requests that were not used yet.
    next_id: u64,
    /// Charges that were answered, by account.
    charges: Vec<u32>,
}

impl Book {
    /// One busy account, and as many as a load is spread over.
    pub fn new(address: &str, accounts: u32) -> Self {
        Self {
            address: address.to_owned(),
            next_id: 1,
            charges: vec![0; index(accounts) + 1],
        }
    }

    /// Opens accounts that are not open yet: those of this range.
    pub fn open_accounts(&mut self, accounts: std::ops::Range<u32>) -> Result<(), String> {
        let template = Template::grant(GRANTED);
        let count = u64::from(accounts.end - accounts.start);
        let mut job = Job {
            first_id: self.next_id,
            account: Box::new(move |number| accounts.start + account_number(number)),
            calls_max: Some(count),
            ..Job::of(&template)
        };
        run_all(&self.address, &mut job, super::callers(SETUP_CALLERS))?;
        self.next_id += count;
        Ok(())
    }

    pub fn open_all(&mut self) -> Result<(), String> {
        self.open_accounts(0..account_number(self.charges.len() as u64))
    }

    /// Charges by this template. `run` runs the job; its charges are written down.
    pub fn charge(
        &mut self,
        template: &Template,
        whom: Whom,
        run: impl FnOnce(&str, &mut Job<'_>) -> Result<Seen, String>,
    ) -> Result<Seen, String> {
        let (others, first_id) = (self.charges.len() as u64 - 1, self.next_id);
        let account = |number: u64| match &whom {
            Whom::TheFirst => 0,
            Whom::TheOthers => account_number((first_id + number).wrapping_mul(STEP) % others + 1),
            Whom::Each(accounts) => {
                let count = u64::from(accounts.end - accounts.start);
                accounts.start + account_number(number % count)
            }
        };
        let mut job = Job {
            first_id,
            account: Box::new(account),
            ..Job::of(template)
        };
        if template.method == BATCH_CHARGE {
            let items = template.items();
            job.on_reply = Some(Box::new(move |_, reply| all_charged(reply, items)));
        }
        let seen = run(&self.address, &mut job)?;
        let charges = seen.made * template.items();
        for number in (0..charges).filter(|number| !seen.refused_numbers.contains(number)) {
            self.charges[index(account(number))] += 1;
        }
        self.next_id += charges;
        Ok(seen)
    }

    /// Whether every account has what was granted less what was charged, and as many
    /// entries. How many charges there are.
    pub fn check_balances(&self) -> Result<u64, String> {
        self.check_each(1)
    }

    /// The same of one account in so many. How many charges those have.
    pub fn check_each(&self, step: u32) -> Result<u64, String> {
        let account = move |number: u64| account_number(number) * step;
        let template = Template::balance(None);
        let mut job = Job {
            account: Box::new(account),
            calls_max: Some(self.charges.len().div_ceil(index(step)) as u64),
            on_reply: Some(Box::new(|number, reply| {
                self.check_balance(account(number), reply)
            })),
            ..Job::of(&template)
        };
        run_all(&self.address, &mut job, super::callers(SETUP_CALLERS))?;
        let checked = self.charges.iter().step_by(index(step));
        Ok(checked.map(|charges| u64::from(*charges)).sum())
    }

    fn check_balance(&self, account: u32, reply: &[u8]) -> Result<(), String> {
        let reply = pb::GetBalanceResponse::decode(reply).map_err(|error| error.to_string())?;
        let balance = reply.balance.ok_or("a reply without a balance")?;
        let charges = self.charges[index(account)];
        let nanos = |text: &str| {
            let credits = Credits::parse(text).map_err(|fault| format!("{text}: {fault:?}"))?;
            Ok::<i128, String>(i128::from(credits.nanos()))
        };
        let expected = nanos(GRANTED)? - nanos(CHARGED)? * i128::from(charges);
        let versions = i64::from(charges) + 1;
        if nanos(&balance.available)? != expected || balance.version != versions {
            return Err(format!(
                "account {account}: {charges} charges of {CHARGED} were answered, and of {GRANTED} \
                 {} are available after {} entries",
                balance.available, balance.version
            ));
        }
        Ok(())
    }
}

fn index(account: u32) -> usize {
    usize::try_from(account).unwrap_or(usize::MAX)
}

fn account_number(number: u64) -> u32 {
    u32::try_from(number).expect("there are fewer accounts")
}
