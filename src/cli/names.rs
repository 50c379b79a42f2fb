//! What a misspelt name may have been meant to be.

use crate::events::{RequestPayload, TargetRef};
use crate::execution::failure::code;
use crate::store::{Kind, Store, StoreError};
use crate::text::nearest;

/// The most names that are listed.
const MOST_NAMES: usize = 8;

/// What to do about a request that was refused with `code`; `None` if there is nothing to add. A store that does not answer
/// is no reason to report anything else than the refusal.
pub(super) async fn suggestion(store: &Store, asked: &RequestPayload, refused: &str) -> Option<String> {
    let project = &asked.project_id;
    match refused {
        code::PROJECT_NOT_FOUND => {
            let names = store.project_names().await.ok()?;
            Some(among("project", project.as_str(), &names))
        }
        code::SCENARIO_NOT_FOUND => {
            let names = store.names(Kind::Scenario, project).await.ok()?;
            Some(among("scenario", asked.scenario_id.as_str(), &names))
        }
        code::TARGET_NOT_FOUND | code::UNKNOWN_TARGET_TYPE => {
            let names = targets(store, asked).await.ok()?;
            Some(among("target", &shown(&asked.target), &names))
        }
        _ => None,
    }
}

async fn targets(store: &Store, asked: &RequestPayload) -> Result<Vec<String>, StoreError> {
    Ok(store.targets(&asked.project_id).await?.iter().map(shown).collect())
}

fn shown(target: &TargetRef) -> String {
    format!("{}:{}", target.kind, target.reference_id)
}

/// The name that is nearest to `wanted`, and the others.
fn among(what: &str, wanted: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("no {what} is imported: `scenario-worker import FILE` does it");
    }
    let list: Vec<&str> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let all = format!("there is: {}{more}", list.join(", "));
    match nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'? {all}"),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_the_others_are_listed() {
        let names = ["refund".to_owned(), "returns".to_owned()];
        assert_eq!(among("scenario", "refnud", &names), "did you mean 'refund'? there is: refund, returns");
        assert_eq!(among("scenario", "greeting", &names), "there is: refund, returns");
        assert!(among("scenario", "refund", &[]).contains("scenario-worker import"));
        let many: Vec<String> = (0..10).map(|number| format!("s{number}")).collect();
        assert!(among("scenario", "zzz", &many).ends_with("s7 and 2 more"));
    }
}
