//! `creditd account`.

use std::collections::BTreeMap;

use super::args::RequestId;
use super::failure::Failure;
use super::moved::print_account;
use super::output::{Format, facts, print};
use super::refusal::Words;
use super::remote::{Remote, Write, time_text};
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::pb::creditd::v1::ErrorReason;

const EXAMPLES: &str = "Examples:
  creditd account team-a
  creditd account team-a --set rate_card=studio
  creditd account team-a --set attributes.plan=growth --set labels.crm=42
  creditd account team-a --clear rate_card
  creditd account team-b --create --set rate_card=studio     (it has no credits then)";

/// What this command calls fields of its request.
const FLAGS: &[(&str, &str)] = &[
    ("account.account", "account"),
    ("account.rate_card", "--set rate_card"),
    ("account.attributes", "--set attributes"),
    ("account.labels", "--set labels"),
];

/// What to do here about refusals of an update.
const HINTS: &[(ErrorReason, &str)] = &[(
    ErrorReason::AccountNotFound,
    "--create opens it without credits",
)];

/// Show an account, or set its rate card, attributes or labels
///
/// Attributes and labels are set whole: what is not given again is gone, and what is left is
/// printed. It moves no credits.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// rate_card=NAME, attributes.NAME=VALUE or labels.NAME=VALUE; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// Set to nothing: the default rate card, no attributes, no labels; may be repeated
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Field>,
    /// Open the account if there is none; it has no credits then
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Field {
    #[value(name = "rate_card")]
    RateCard,
    Attributes,
    Labels,
}

impl Field {
    const fn path(self) -> &'static str {
        match self {
            Self::RateCard => "rate_card",
            Self::Attributes => "attributes",
            Self::Labels => "labels",
        }
    }
}

/// A field, the name of a pair in it, and the value.
#[derive(Clone, Debug)]
struct Setting {
    field: Field,
    name: String,
    value: String,
}

/// A setting as it is typed.
fn setting(text: &str) -> Result<Setting, String> {
    let found = text.split_once('=').and_then(|(path, value)| {
        let (field, name) = match path.split_once('.') {
            None if path == "rate_card" => (Field::RateCard, ""),
            Some(("attributes", name)) => (Field::Attributes, name),
            Some(("labels", name)) => (Field::Labels, name),
            _ => return None,
        };
        Some(Setting {
            field,
            name: name.to_owned(),
            value: value.to_owned(),
        })
    });
    found.ok_or_else(|| {
        "write it like rate_card=studio, attributes.plan=growth or labels.crm=42".to_owned()
    })
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match args.set.is_empty() && args.clear.is_empty() {
        true if args.create || args.request_id.is_given() => Err(Failure::usage(
            "--create and --request-id go together with --set or --clear",
        )),
        true => show(args),
        false => update(args),
    }
}

fn show(args: &Args) -> Result<(), Failure> {
    let request = pb::GetAccountRequest {
        account: args.account.clone(),
    };
    let reply = args
        .remote
        .read(Words::of(&args.account), async |connection| {
            client::ledger(connection).get_account(request).await
        })?;
    let account = reply.account.as_ref().ok_or("the server sent no account")?;
    print(args.format, &reply, || {
        facts(&ShownAccount::of(account).facts())
    })
}

fn update(args: &Args) -> Result<(), Failure> {
    let request_id = args.request_id.or_new()?;
    let (account, paths) = settings(args)?;
    let request = pb::UpdateAccountRequest {
        request_id: request_id.clone(),
        account: Some(account),
        update_mask: Some(prost_types::FieldMask { paths }),
        allow_missing: args.create,
    };
    let call = Write {
        words: Words {
            account: &args.account,
            flags: FLAGS,
            hints: HINTS,
        },
        request_id: &request_id,
        again: "",
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.update_account(request).await)?;
    print_account(
        args.format,
        call,
        &reply,
        reply.account.as_ref(),
        reply.replayed,
    )
}

/// The account as it is to be, and which of its fields.
fn settings(args: &Args) -> Result<(pb::Account, Vec<String>), Failure> {
    let mut account = pb::Account {
        account: args.account.clone(),
        ..pb::Account::default()
    };
    let mut given = BTreeMap::new();
    let mut paths = Vec::new();
    for setting in &args.set {
        let path = setting.field.path();
        let value = setting.value.clone();
        match setting.field {
            Field::RateCard => account.rate_card = value,
            Field::Attributes => drop(account.attributes.insert(setting.name.clone(), value)),
            Field::Labels => drop(account.labels.insert(setting.name.clone(), value)),
        }
        if given.insert((path, &setting.name), ()).is_some() {
            return Err(Failure::usage(format!(
                "--set {} is given twice; there is one value for it",
                match setting.name.as_str() {
                    "" => path.to_owned(),
                    name => format!("{path}.{name}"),
                }
            )));
        }
        paths.push(path.to_owned());
    }
    for field in &args.clear {
        let path = field.path();
        if args.set.iter().any(|setting| setting.field == *field) {
            return Err(Failure::usage(format!(
                "--clear {path} cannot go together with --set {path}"
            )));
        }
        paths.push(path.to_owned());
    }
    paths.sort_unstable();
    paths.dedup();
    Ok((account, paths))
}

/// An account as people read it.
pub(super) struct ShownAccount<'a> {
    account: &'a pb::Account,
    created: String,
    pub(super) attributes: String,
    labels: String,
    available: &'a str,
    held: &'a str,
}

impl<'a> ShownAccount<'a> {
    pub(super) fn of(account: &'a pb::Account) -> Self {
        let balance = account.balance.as_ref();
        Self {
            account,
            created: time_text(account.create_time.as_ref()),
            attributes: pairs(&account.attributes),
            labels: pairs(&account.labels),
            available: balance.map_or("", |balance| &balance.available),
            held: balance.map_or("", |balance| &balance.held),
        }
    }

    pub(super) fn facts(&self) -> Vec<(&str, &str)> {
        vec![
            ("account", &self.account.account),
            ("created", &self.created),
            ("rate card", self.rate_card()),
            ("attributes", &self.attributes),
            ("labels", &self.labels),
            ("available", self.available),
            ("held", self.held),
        ]
    }

    fn rate_card(&self) -> &str {
        match self.account.rate_card.as_str() {
            "" => "the default",
            name => name,
        }
    }
}

/// "plan=growth, seats=3"
pub(super) fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}
