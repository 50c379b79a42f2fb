//! Which answers are answers: by their status, and by what they say of errors.

use std::ops::RangeInclusive;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::path::{ReplyPath, says_something, words};

/// The statuses that a definition may name.
const STATUSES: RangeInclusive<u16> = 100..=599;
/// What is an answer where the definition says nothing.
const USUAL: RangeInclusive<u16> = 200..=299;
/// A status with two of these in it names a hundred.
const WHOLE_HUNDRED: &str = "xx";

/// What a definition says of statuses.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StatusDefinition {
    /// Statuses that are answers: each a number, `4xx`, or `400-404`.
    #[serde(default)]
    success: Option<Vec<RangeDefinition>>,
    /// Where a reply with such a status says that it is an error all the same: a `JSONPath`.
    #[serde(default)]
    error_path: Option<String>,
}

/// Some statuses, as they are written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it is no status such as 404, 4xx or 400-404")]
pub(super) enum RangeDefinition {
    /// One.
    One(u16),
    /// `4xx`, `400-404`, or a number in quotes.
    Text(String),
}

/// Some statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statuses(RangeInclusive<u16>);

impl Statuses {
    /// Reads statuses; `None` if these are none.
    pub(super) fn parse(definition: &RangeDefinition) -> Option<Self> {
        let range = match definition {
            RangeDefinition::One(status) => *status..=*status,
            RangeDefinition::Text(text) => range(text.trim())?,
        };
        let is_one = !range.is_empty() && STATUSES.contains(range.start()) && STATUSES.contains(range.end());
        is_one.then_some(Self(range))
    }

    /// Whether `status` is one of them.
    pub(super) fn contain(&self, status: StatusCode) -> bool {
        self.0.contains(&status.as_u16())
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(hundred) = text.to_ascii_lowercase().strip_suffix(WHOLE_HUNDRED) {
        let first: u16 = hundred.parse::<u16>().ok()?.checked_mul(100)?;
        return Some(first..=first.checked_add(99)?);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

impl std::fmt::Display for RangeDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Which answers are answers.
#[derive(Debug)]
pub(super) struct StatusRules {
    success: Vec<Statuses>,
    error: Option<ReplyPath>,
}

impl StatusRules {
    /// Reads what a definition says. A server's failure cannot be declared an answer: a page that says so is no agent's
    /// word.
    pub(super) fn read(definition: &StatusDefinition) -> Result<Self, String> {
        let success = match &definition.success {
            None => vec![Statuses(USUAL)],
            Some(written) if written.is_empty() => {
                return Err("status.success: it is empty, so nothing would ever be an answer".to_owned());
            }
            Some(written) => written.iter().map(answer).collect::<Result<_, _>>()?,
        };
        let error = ReplyPath::parse_written("status.errorPath", definition.error_path.as_ref())?;
        Ok(Self { success, error })
    }

    /// Whether an answer of this status is one.
    pub(super) fn is_success(&self, status: StatusCode) -> bool {
        self.success.iter().any(|statuses| statuses.contain(status))
    }

    /// Whether the definition lists `status` by itself.
    pub(super) fn names(&self, status: StatusCode) -> bool {
        let alone = Statuses(status.as_u16()..=status.as_u16());
        self.success.contains(&alone)
    }

    /// The error that a reply reports in spite of its status.
    pub(super) fn error_of(&self, reply: &Value) -> Option<String> {
        let reported = self.error.as_ref()?.all(reply);
        reported.into_iter().find(|value| says_something(value)).map(words)
    }

    /// Whether replies can report errors in spite of their status.
    pub(super) fn looks_for_errors(&self) -> bool {
        self.error.is_some()
    }
}

fn answer(definition: &RangeDefinition) -> Result<Statuses, String> {
    let statuses = Statuses::parse(definition)
        .ok_or_else(|| format!("status.success: '{definition}' is no status such as 404, 4xx or 400-404"))?;
    let can_be = |first: u16, last: u16| statuses.0.start() >= &first && statuses.0.end() <= &last;
    if can_be(200, 299) || can_be(400, 499) {
        return Ok(statuses);
    }
    Err(format!("status.success: '{definition}' is never an agent's answer; statuses of 2xx and 4xx can be"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(definition: Value) -> Result<StatusRules, String> {
        StatusRules::read(&serde_json::from_value(definition).map_err(|error| error.to_string())?)
    }

    fn is_success(definition: Value, status: u16) -> bool {
        rules(definition).unwrap().is_success(StatusCode::from_u16(status).unwrap())
    }

    #[test]
    fn statuses_are_numbers_hundreds_and_ranges() {
        let named = json!({ "success": [200, "4xx", "202 - 204", "409"] });
        for (status, success) in [
            (200, true),
            (201, false),
            (203, true),
            (205, false),
            (400, true),
            (499, true),
            (500, false),
            (302, false),
        ] {
            assert_eq!(is_success(named.clone(), status), success, "{status}");
        }
        assert!(is_success(json!({}), 204) && !is_success(json!({}), 404) && !is_success(json!({}), 304));
    }

    #[test]
    fn a_failure_of_the_server_or_a_redirect_cannot_be_declared_an_answer() {
        for statuses in
            [json!([500]), json!(["5xx"]), json!(["200-500"]), json!([302]), json!(["2xx", "100"])]
        {
            let problem = rules(json!({ "success": statuses })).unwrap_err();
            assert!(problem.contains("never an agent's answer"), "{problem}");
        }
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for statuses in [
            json!(["xx"]),
            json!(["9999xx"]),
            json!([99]),
            json!(["600"]),
            json!(["204-200"]),
            json!(["-"]),
            json!([""]),
            json!([true]),
            json!([]),
        ] {
            let problem = rules(json!({ "success": statuses })).unwrap_err();
            assert!(problem.contains("status"), "{problem}");
        }
    }

    #[test]
    fn an_error_is_whatever_the_path_finds_that_says_something() {
        let rules = rules(json!({ "errorPath": "$.error" })).unwrap();
        for (reply, error) in [
            (json!({ "error": "out of order" }), Some("out of order")),
            (json!({ "error": { "code": 7 } }), Some("{\"code\":7}")),
            (json!({ "error": true }), Some("true")),
            (json!({ "error": null }), None),
            (json!({ "error": false }), None),
            (json!({ "error": "" }), None),
            (json!({ "error": {} }), None),
            (json!({ "reply": "fine" }), None),
        ] {
            assert_eq!(rules.error_of(&reply).as_deref(), error, "{reply}");
        }
    }
}
