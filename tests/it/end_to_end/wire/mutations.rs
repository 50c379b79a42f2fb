//! Payloads made wrong in one place, and payloads with more in them than today.

use jsonschema::Validator;
use serde_json::{Value, json};

/// Fields whose content is anybody's.
const FREE: [&str; 3] = ["arguments", "parameters", "headers"];
/// Fields of what the worker writes that are left out where there is nothing to say.
const LEFT_OUT: [&str; 19] = [
    "agreement",
    "callsWithoutPrice",
    "callsWithoutTokens",
    "costUsd",
    "decidedBy",
    "errors",
    "evidence",
    "headersTruncated",
    "hint",
    "latencyMs",
    "messages",
    "messagesTruncated",
    "payloadObject",
    "payloadTruncated",
    "situation",
    "toolCalls",
    "toolCallsUnknown",
    "unconfirmed",
    "votes",
];
/// Fields of an answer that are left out where nothing is known.
const NOT_KNOWN: [&str; 4] = ["status", "attempt", "turn", "updatedAt"];
/// Fields of a request that have to be there.
const NEEDED: [&str; 7] = ["projectId", "scenarioId", "target", "type", "referenceId", "mode", "name"];
/// Fields that can be null.
const NULLABLE: [&str; 3] = ["verdict", "error", "traceId"];
/// Fields with a list of words that they can be.
const CHOSEN: [&str; 7] = ["status", "verdict", "role", "attributedTo", "phase", "decidedBy", "traceContext"];

/// What the test itself sends and knows to be wrong.
pub(super) fn is_sent_wrong(payload: &Value) -> bool {
    let is_request = payload.get("projectId").is_none() && payload.get("code").is_none();
    is_request || payload["maxTurns"] == 0 || payload["projectId"] == "a.b"
}

/// Every place of a value, as a JSON pointer, but for what is anybody's.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = format!("{at}/{name}");
                if FREE.contains(&name.as_str()) { found.push(below) } else { places(value, &below, found) }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate().take(1) {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Which places a payload has: payloads with the same ones need not all be made wrong.
pub(super) fn shape(payload: &Value) -> Vec<String> {
    let mut found = Vec::new();
    places(payload, "", &mut found);
    found
}

fn replaced(payload: &Value, place: &str, value: Value) -> Value {
    let mut changed = payload.clone();
    *changed.pointer_mut(place).unwrap() = value;
    changed
}

fn without(payload: &Value, parent: &str, field: &str) -> Value {
    let mut changed = payload.clone();
    changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
    changed
}

/// Whether a payload of the schema called `name` can do without `field`.
fn can_lack(name: &str, field: &str, value: &Value) -> bool {
    let asked = ["run-requested", "cancel-requested", "status-request"].contains(&name);
    if asked {
        let needed = NEEDED.contains(&field) || (name != "run-requested" && field != "projectId");
        // A cassette that has no name is a word.
        return !needed;
    }
    let not_known = ["status-reply", "cancel-reply"].contains(&name) && NOT_KNOWN.contains(&field);
    // Only some deliveries fail with an HTTP status.
    LEFT_OUT.contains(&field) || not_known || (field == "status" && value.is_number())
}

/// What a schema lets pass that is wrong, or refuses that a newer worker may say.
pub(super) fn problems(name: &str, payload: &Value, validator: &Validator) -> Vec<String> {
    let (found, mut problems) = (shape(payload), Vec::new());
    let mut check = |what: &str, place: &str, changed: &Value, valid: bool| {
        if validator.is_valid(changed) != valid {
            problems.push(format!("{name}{place}: {what} is {}", if valid { "refused" } else { "let pass" }));
        }
    };
    for place in &found {
        let value = payload.pointer(place).unwrap();
        let (parent, field) = place.rsplit_once('/').unwrap_or(("", ""));
        if value.is_object() && !FREE.contains(&field) {
            let mut more = payload.clone();
            more.pointer_mut(place).unwrap()["aFieldOfTomorrow"] = json!([1]);
            check("a field more", place, &more, true);
        }
        if field == "arguments" {
            continue;
        }
        let other = if value.is_number() || value.is_boolean() { json!("x") } else { json!(5) };
        check("another type", place, &replaced(payload, place, other), false);
        let asked = ["run-requested", "cancel-requested"].contains(&name);
        if !asked && !NULLABLE.contains(&field) {
            check("null", place, &replaced(payload, place, Value::Null), false);
        }
        if CHOSEN.contains(&field) && value.is_string() {
            check("an unknown word", place, &replaced(payload, place, json!("unheard_of")), false);
        }
        if payload.pointer(parent).is_some_and(Value::is_object) && !field.is_empty() {
            check("its absence", place, &without(payload, parent, field), can_lack(name, field, value));
        }
    }
    problems
}
