//! The one policy of a file that a sub-command works with.

use portcullis_core::Policy;
use portcullis_core::config::Diagnostic;

use crate::exit::Exit;
use crate::find::find;
use crate::output::complain;
use crate::read::{Fault, Source};

/// The one policy that is meant; where it has errors, they are all that is said.
pub(crate) fn choose(file: &str, gateway: Option<&str>) -> Result<Policy, Exit> {
    let source = Source::open(file).map_err(|fault| {
        complain(&match fault {
            Fault::Unreadable(why) => format!("error: `{file}` {why}"),
            Fault::NotParsable(mark, why) => format!("error: {file}:{mark}: {why}"),
        });
        Exit::Unreadable
    })?;
    let mut policies = Vec::new();
    let mut refused = Vec::new();
    for found in find(&source) {
        let compiled = found.compile();
        match compiled.policy {
            Some(policy) => policies.push(policy),
            None => refused.extend(compiled.diagnostics.iter().map(|diagnostic: &Diagnostic| {
                format!("{file}:{}: {diagnostic}", found.content.locate(&diagnostic.place))
            })),
        }
    }
    let names: Vec<_> = policies.iter().map(|policy| format!("`{}`", policy.gateway())).collect();
    let mut meant: Vec<_> = policies
        .into_iter()
        .filter(|policy| gateway.is_none_or(|name| name == policy.gateway()))
        .collect();
    match (meant.pop(), meant.is_empty(), refused.is_empty()) {
        (Some(policy), true, true) => Ok(policy),
        (Some(policy), true, false) if gateway.is_some() => Ok(policy),
        (_, _, false) => {
            for line in &refused {
                complain(line);
            }
            Err(Exit::PolicyErrors)
        }
        (None, _, _) if names.is_empty() => {
            complain(&format!("error: no policy is in `{file}`"));
            Err(Exit::PolicyErrors)
        }
        _ => {
            complain(&format!(
                "error: choose one policy of `{file}` with `--gateway`: {}",
                names.join(", ")
            ));
            Err(Exit::Usage)
        }
    }
}
