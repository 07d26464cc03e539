//! AdminService: the configuration.

use super::AdminApi;
use crate::app::access::Caller;
use crate::app::reload::{Change, NotReloaded, Reloaded};
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::refused::{Refused, RpcRefusal};

/// How much of the problems a refusal has: it must fit into the headers that clients read.
const PROBLEMS_BYTES_MAX: usize = 1_536;

impl AdminApi {
    /// Serves a ReloadConfig.
    pub(super) async fn reload(
        &self,
        caller: &Caller,
    ) -> Result<pb::ReloadConfigResponse, Refused> {
        let key_id = caller.key_id().map(tracing::field::display);
        tracing::info!(key_id, "a reload of the configuration is asked for");
        match self.app.reload().await {
            Ok(reloaded) => Ok(reloaded_to_pb(reloaded)),
            Err(NotReloaded { problems }) => {
                let problems = some_of(&problems);
                Err(RpcRefusal::ConfigNotReloaded { problems }.into())
            }
        }
    }
}

fn reloaded_to_pb(reloaded: Reloaded) -> pb::ReloadConfigResponse {
    let to_pb = |change: Change| pb::ConfigChange {
        what: change.what,
        before: change.before,
        after: change.after,
    };
    pb::ReloadConfigResponse {
        changes: reloaded.changes.into_iter().map(to_pb).collect(),
        need_restart: reloaded.need_restart.into_iter().map(to_pb).collect(),
    }
}

/// As many of the problems as fit, and how many more there are.
fn some_of(problems: &[String]) -> String {
    let mut text = String::new();
    for (number, problem) in problems.iter().enumerate() {
        let between = if text.is_empty() { "" } else { "; " };
        let length = text.len().saturating_add(problem.len());
        if length > PROBLEMS_BYTES_MAX {
            let rest = problems.len().saturating_sub(number);
            let begin = crate::domain::names::cut(problem, PROBLEMS_BYTES_MAX);
            return match text.is_empty() {
                true => format!("{begin}..., and more in the log"),
                false => format!("{text}; {rest} more in the log"),
            };
        }
        text.push_str(between);
        text.push_str(problem);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_problems_is_cut() {
        let problem = |letters: usize| "x".repeat(letters);
        for (lengths, expected) in [
            (&[3][..], "xxx".to_owned()),
            (&[1, 2], "x; xx".to_owned()),
            (&[1, 1_600, 2], "x; 2 more in the log".to_owned()),
            (
                &[1_600],
                format!("{}..., and more in the log", problem(1_536)),
            ),
        ] {
            let problems: Vec<_> = lengths.iter().copied().map(problem).collect();
            assert_eq!(some_of(&problems), expected);
        }
    }
}
