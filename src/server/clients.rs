//! `[[client]]` of the configuration file: whose certificates let in, and for what. Entries are
//! read at the start and again where it is asked for, all or none.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::config::Config;
use crate::app::access::{ADMIN_KEY_ID, Access, Rights};
use crate::app::certificates::{
    AlternativeName, CLIENTS_MAX, ClientEntry, DistinguishedName, Match,
};
use crate::app::token::is_generated_id;
use crate::domain::keys::{
    AccountPattern, AccountPatterns, KEY_ACCOUNTS_MAX, KEY_CALLS_PER_SECOND_MAX, KEY_ID_BYTES_MAX,
    KeyId, Scope, Scopes,
};

/// The keys of an entry.
pub const CLIENT_KEYS: [&str; 6] = [
    "name",
    "subject",
    "san",
    "scopes",
    "accounts",
    "calls_per_second_max",
];

/// An entry as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientForm {
    name: Spanned<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    san: Option<Spanned<String>>,
    scopes: Spanned<Vec<Spanned<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_second_max: Option<Spanned<u32>>,
}

/// What is wrong with an entry, and where.
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) problem: String,
}

fn wrong(at: Range<usize>, problem: impl Into<String>) -> Wrong {
    let problem = problem.into();
    Wrong { at, problem }
}

/// The entries of a file, and all that is wrong with them. No two of them have one name, or match
/// by the same.
pub(super) fn entries(forms: &[Spanned<ClientForm>]) -> (Vec<ClientEntry>, Vec<Wrong>) {
    let (mut entries, mut problems) = (Vec::with_capacity(forms.len()), Vec::new());
    if let Some(beyond) = forms.get(CLIENTS_MAX) {
        let problem = format!("there are more than {CLIENTS_MAX} [[client]]");
        return (entries, vec![wrong(beyond.span(), problem)]);
    }
    for form in forms {
        let checked = entry(form.get_ref().clone(), form.span())
            .and_then(|entry| check_beside(&entry, &entries, form).map(|()| entry));
        match checked {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    (entries, problems)
}

fn check_beside(
    entry: &ClientEntry,
    earlier: &[ClientEntry],
    form: &Spanned<ClientForm>,
) -> Result<(), Wrong> {
    for earlier in earlier {
        if earlier.name == entry.name {
            let problem = format!(
                "another [[client]] has the name \"{}\"; give each its own",
                entry.name
            );
            return Err(wrong(form.get_ref().name.span(), problem));
        }
        if earlier.matches == entry.matches {
            let problem = format!(
                "\"{}\" matches the same certificates as \"{}\"; leave one of them out",
                entry.name, earlier.name
            );
            return Err(wrong(form.span(), problem));
        }
    }
    Ok(())
}

fn entry(form: ClientForm, span: Range<usize>) -> Result<ClientEntry, Wrong> {
    let name = key_id(&form.name)?;
    let matches = match (form.subject, form.san) {
        (Some(subject), None) => DistinguishedName::parse(subject.get_ref())
            .map(Match::Subject)
            .map_err(|problem| wrong(subject.span(), format!("subject: {problem}")))?,
        (None, Some(san)) => AlternativeName::parse(san.get_ref())
            .map(Match::Alternative)
            .map_err(|problem| wrong(san.span(), format!("san: {problem}")))?,
        _ => {
            let problem = format!("\"{name}\" needs either subject or san");
            return Err(wrong(span, problem));
        }
    };
    let scopes = scopes(&form.scopes)?;
    let accounts = match form.accounts {
        Some(accounts) if scopes.allow(Scope::Admin) => {
            // It could create a key that is not.
            let problem =
                "a client with scope admin cannot be bound to accounts; leave accounts out";
            return Err(wrong(accounts.span(), problem));
        }
        Some(names) => accounts(names)?,
        None => AccountPatterns::default(),
    };
    let calls_per_second_max = match form.calls_per_second_max {
        Some(calls) if *calls.get_ref() > KEY_CALLS_PER_SECOND_MAX => {
            let problem = format!("calls_per_second_max is at most {KEY_CALLS_PER_SECOND_MAX}");
            return Err(wrong(calls.span(), problem));
        }
        calls => calls.map_or(0, Spanned::into_inner),
    };
    let rights = Rights {
        scopes,
        accounts,
        expire_time: None,
        calls_per_second_max,
    };
    Ok(ClientEntry {
        name,
        matches,
        rights,
    })
}

/// The id of a client. In entries and in the trail it stands where those of keys do, so it is none
/// of theirs.
fn key_id(name: &Spanned<String>) -> Result<KeyId, Wrong> {
    let text = name.get_ref();
    let id = KeyId::new(text).ok_or_else(|| {
        let problem =
            format!("a name has 1 to {KEY_ID_BYTES_MAX} printable ASCII characters but space");
        wrong(name.span(), problem)
    })?;
    if text == ADMIN_KEY_ID {
        let problem = format!("\"{text}\" is the name of the keys of --admin-key-file");
        return Err(wrong(name.span(), problem));
    }
    if is_generated_id(text) {
        let problem = format!("\"{text}\" looks like the id of a key; put a - into it");
        return Err(wrong(name.span(), problem));
    }
    Ok(id)
}

fn scopes(names: &Spanned<Vec<Spanned<String>>>) -> Result<Scopes, Wrong> {
    let known = || Scope::ALL.map(Scope::name).join(", ");
    let scope = |name: &Spanned<String>| {
        Scope::named(name.get_ref()).ok_or_else(|| {
            let name_text = name.get_ref().escape_debug();
            let problem = format!("\"{name_text}\" is no scope; there are {}", known());
            wrong(name.span(), problem)
        })
    };
    let scopes: Scopes = names
        .get_ref()
        .iter()
        .map(scope)
        .collect::<Result<_, _>>()?;
    match scopes.is_empty() {
        true => Err(wrong(
            names.span(),
            format!("scopes has none of {}", known()),
        )),
        false => Ok(scopes),
    }
}

fn accounts(names: Spanned<Vec<Spanned<String>>>) -> Result<AccountPatterns, Wrong> {
    let span = names.span();
    let names = names.into_inner();
    // An empty list would mean all of them.
    if names.is_empty() || names.len() > KEY_ACCOUNTS_MAX {
        let problem = format!(
            "accounts has 1 to {KEY_ACCOUNTS_MAX} names, or beginnings of names with a * behind them; leave it out for all accounts"
        );
        return Err(wrong(span, problem));
    }
    let pattern = |name: &Spanned<String>| {
        AccountPattern::parse(name.get_ref()).ok_or_else(|| {
            let problem = format!("\"{}\" can be no account", name.get_ref().escape_debug());
            wrong(name.span(), problem)
        })
    };
    let patterns = names.iter().map(pattern).collect::<Result<_, _>>()?;
    Ok(AccountPatterns::new(patterns))
}

/// Lets in those whom the configuration names. Where clients may show certificates, callers are
/// asked who they are.
pub(super) fn take_up(config: &Config, access: &Access) {
    if config.asks_for_certificates() {
        access.take_up_clients(config.clients.clone());
        access.require();
    }
}

/// What an entry lets do, for the log, which has no names of accounts.
pub(super) fn describe(entry: &ClientEntry) -> String {
    let scopes = Scope::ALL.into_iter();
    let scopes = scopes.filter(|scope| entry.rights.scopes.allow(*scope));
    let scopes: Vec<_> = scopes.map(Scope::name).collect();
    let calls = match entry.rights.calls_per_second_max {
        0 => "any number of calls".to_owned(),
        calls => format!("{calls} calls a second"),
    };
    format!("{}, {calls}", scopes.join("+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_an_entry() {
        let error = toml::from_str::<ClientForm>("unknown = 1").unwrap_err();
        let named = error.message().matches('`').count() / 2;
        // And the unknown one.
        assert_eq!(named, CLIENT_KEYS.len() + 1, "{error}");
        for key in CLIENT_KEYS {
            assert!(error.message().contains(&format!("`{key}`")), "{key}");
        }
    }
}
