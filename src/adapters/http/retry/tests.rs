use serde_json::{Value, json};

use super::*;

const NO_CHANCE: f64 = 1.0;

fn read(definition: Value, method: &Method, on_unknown: OnUnknown) -> Result<Retries, String> {
    let definition: RetriesDefinition =
        serde_json::from_value(definition).map_err(|error| error.to_string())?;
    Retries::read(Some(&definition), method, on_unknown)
}

fn status(status: u16) -> Trouble {
    Trouble::Status(StatusCode::from_u16(status).unwrap())
}

/// What is asked again after, of everything that is told apart.
fn asked_again(retries: &Retries) -> Vec<String> {
    let named = [Named::Connect, Named::Timeout, Named::Interrupted].map(Trouble::Named);
    let statuses = [408, 425, 429, 500, 502, 503, 504].map(status);
    let again = |trouble: &&Trouble| retries.pause(1, **trouble, None, NO_CHANCE).is_some();
    let name = |trouble: &Trouble| match trouble {
        Trouble::Named(named) => format!("{named:?}").to_lowercase(),
        Trouble::Status(status) => status.as_u16().to_string(),
    };
    named.iter().chain(&statuses).filter(again).map(name).collect()
}

#[test]
fn nothing_is_asked_again_unless_the_definition_says_so() {
    let retries = Retries::read(None, &Method::GET, OnUnknown::Retry).unwrap();
    assert_eq!(asked_again(&retries), [""; 0]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn what_is_asked_again_after_depends_on_the_harm_that_it_may_do() {
    let sure = vec!["connect", "429", "503"];
    let all = vec!["connect", "timeout", "interrupted", "429", "502", "503", "504"];
    for (definition, method, on_unknown, expected) in [
        (json!({}), Method::POST, OnUnknown::Retry, &sure),
        (json!({}), Method::PATCH, OnUnknown::Retry, &sure),
        (json!({}), Method::PUT, OnUnknown::Retry, &all),
        (json!({}), Method::GET, OnUnknown::Retry, &all),
        (json!({}), Method::GET, OnUnknown::Fail, &sure),
        (json!({ "idempotent": true }), Method::POST, OnUnknown::Retry, &all),
        (json!({ "idempotent": false }), Method::GET, OnUnknown::Retry, &sure),
        (json!({ "on": ["interrupted", 500] }), Method::POST, OnUnknown::Retry, &vec!["interrupted", "500"]),
        (
            json!({ "on": ["4xx", "503-504"] }),
            Method::POST,
            OnUnknown::Fail,
            &vec!["408", "425", "429", "503", "504"],
        ),
    ] {
        let retries = read(definition.clone(), &method, on_unknown).unwrap();
        assert_eq!(&asked_again(&retries), expected, "{definition} {method} {on_unknown:?}");
    }
}

#[test]
fn a_definition_that_cannot_be_meant_is_refused() {
    for (definition, part) in [
        (json!({ "attempts": 1 }), "2 to 10"),
        (json!({ "attempts": 11 }), "2 to 10"),
        (json!({ "on": [] }), "empty"),
        (json!({ "on": ["often"] }), "'often' is no status"),
        (json!({ "on": [99] }), "'99' is no status"),
        (json!({ "on": [{}] }), "no status"),
        (json!({ "on": ["timeout"] }), "after 'timeout' it is unknown"),
        (json!({ "on": ["interrupted"] }), "after 'interrupted' it is unknown"),
        (json!({ "retries": 3 }), "unknown field"),
    ] {
        let problem = read(definition, &Method::POST, OnUnknown::Fail).unwrap_err();
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn pauses_double_up_to_their_limit_and_end_within_their_interval() {
    let retries = read(json!({ "attempts": 10 }), &Method::POST, OnUnknown::Retry).unwrap();
    for (attempts, most) in [(1, 250), (2, 500), (3, 1000), (6, 8000), (9, 8000)] {
        for chance in [*JITTER.start(), 0.7, *JITTER.end()] {
            let pause = retries.pause(attempts, status(503), None, chance).unwrap();
            assert_eq!(pause, Duration::from_millis(most).mul_f64(chance), "{attempts}");
        }
    }
}

#[test]
fn the_last_attempt_is_the_last() {
    let retries = read(json!({ "attempts": 2 }), &Method::POST, OnUnknown::Retry).unwrap();
    assert!(retries.pause(1, status(503), None, NO_CHANCE).is_some());
    assert!(retries.pause(2, status(503), None, NO_CHANCE).is_none());
}

#[test]
fn a_pause_is_never_shorter_than_the_agent_asks_for() {
    let retries = read(json!({}), &Method::POST, OnUnknown::Retry).unwrap();
    let pause = |asked| retries.pause(1, status(429), Some(asked), NO_CHANCE).unwrap();
    assert_eq!(pause(Duration::from_mins(5)), Duration::from_mins(5));
    assert_eq!(pause(Duration::ZERO), FIRST_PAUSE);
}
