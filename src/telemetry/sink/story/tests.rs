//! What is told of stories that are whole, and of those that are not.

use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn ids(more: &Value) -> Vec<u8> {
    let mut event = json!({
        "scenarioRunId": "r1", "projectId": "acme", "scenarioId": "refund", "batchRunId": "b1", "setId": "default",
        "target": { "type": "a2a", "referenceId": "shop" },
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event.to_string().into_bytes()
}

fn started() -> (EventKind, Vec<u8>) {
    let more = json!({ "scenario": { "name": "Refund", "labels": [] }, "attempt": 1, "traceId": TRACE,
        "startedAt": "2026-01-02T03:04:05Z" });
    (EventKind::Started, ids(&more))
}

fn message(index: u32, at: &str) -> (EventKind, Vec<u8>) {
    let more = json!({ "index": index, "turn": 1, "role": "user", "content": format!("line {index}"),
        "traceId": TRACE, "at": at });
    (EventKind::Message, ids(&more))
}

fn completed(status: &str, verdict: &Value, messages: &Value) -> (EventKind, Vec<u8>) {
    let none = json!({ "inputTokens": 0, "outputTokens": 0, "calls": 0 });
    let more = json!({ "status": status, "success": false, "verdict": verdict, "reasoning": "why", "criteria": [],
        "metCriteria": [], "unmetCriteria": ["c"], "error": null, "turns": 1, "attempts": 1, "messages": messages,
        "usage": { "userSimulator": none, "target": none, "judge": none },
        "telemetry": { "traceId": TRACE, "spans": 0, "exported": 0, "error": null },
        "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:04:05Z", "durationMs": 0 });
    (EventKind::Completed, ids(&more))
}

/// A story of these events, whose sequences are 10, 20 and so on.
fn story(events: &[(EventKind, Vec<u8>)]) -> Story {
    let mut story = Story::default();
    for ((kind, payload), sequence) in events.iter().zip((10..).step_by(10)) {
        story
            .read(*kind, payload, Entry { sequence, stored_at: datetime!(2026-01-02 03:04:05 UTC) })
            .unwrap();
    }
    story
}

fn written(post: &Post<'_>) -> Value {
    serde_json::from_slice(&post.encode(1024).unwrap()).unwrap()
}

/// Everything that is told of a story, from `progress` on, as JSON.
fn told(story: &Story, mut progress: Progress) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(post) = story.next(&progress) {
        all.push(written(&post));
        progress = progress.behind(&post);
    }
    all
}

fn kinds(told: &[Value]) -> Vec<&str> {
    told.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

const ALL: [&str; 3] = ["SCENARIO_RUN_STARTED", "SCENARIO_MESSAGE_SNAPSHOT", "SCENARIO_RUN_FINISHED"];

#[test]
fn a_run_is_told_from_its_beginning_to_its_end_and_times_never_go_back() {
    let (early, late) = ("2026-01-02T03:00:00Z", "2026-01-02T03:04:06Z");
    let end = completed("FAILED", &json!("inconclusive"), &json!(null));
    let story = story(&[started(), message(0, late), message(1, early), end]);
    let told = told(&story, Progress::default());
    assert_eq!(kinds(&told), ALL);
    let begun = 1_767_323_045_000_i64;
    let times: Vec<_> = told.iter().map(|event| event["timestamp"].as_i64().unwrap()).collect();
    assert_eq!(times, [begun, begun + 1001, begun + 1002]);
    assert_eq!(
        told[0]["metadata"]["langwatch"],
        json!({ "targetReferenceId": "shop", "targetType": "http" })
    );
    assert_eq!(told[0]["metadata"]["target"]["type"], "a2a");
    let first = json!({ "id": "r1-0", "role": "user", "content": "line 0", "trace_id": TRACE });
    assert_eq!(told[1]["messages"][0], first);
    assert_eq!(
        (&told[2]["status"], &told[2]["results"]["verdict"]),
        (&json!("FAILED"), &json!("inconclusive"))
    );
}

#[test]
fn what_is_told_again_after_a_crash_is_the_same_and_what_was_told_is_not_told_again() {
    let events = [started(), message(0, "2026-01-02T03:04:06Z"), message(1, "2026-01-02T03:04:07Z")];
    let (short, whole) = (story(&events[..2]), story(&events));
    let begun = Progress::default().behind(&short.next(&Progress::default()).unwrap());
    let (once, again) = (short.next(&begun).unwrap(), short.next(&begun).unwrap());
    assert_eq!(written(&once), written(&again));
    let after = begun.behind(&once);
    assert!(short.next(&after).is_none() && after.has_told(20) && !after.has_told(30));
    let more = written(&whole.next(&after).unwrap());
    assert!(more["timestamp"].as_i64() > written(&once)["timestamp"].as_i64());
    assert_eq!(more["messages"].as_array().unwrap().len(), 2, "all of them, each time");
}

#[test]
fn a_run_without_a_beginning_is_told_from_its_outcome_which_counts_as_told_only_at_the_end() {
    let line = json!([{ "index": 0, "turn": 1, "role": "user", "content": "hello" }]);
    let mut story = story(&[completed("ERROR", &json!(null), &line)]);
    assert!(story.has_no_beginning());
    story.call("Refund".to_owned());
    let all = told(&story, Progress::default());
    assert_eq!(kinds(&all), ALL);
    assert_eq!(
        (&all[0]["metadata"]["name"], &all[2]["results"]["verdict"]),
        (&json!("Refund"), &json!("failure"))
    );
    let mut progress = Progress::default();
    for is_told in [false, false, true] {
        progress = progress.behind(&story.next(&progress).unwrap());
        assert_eq!(progress.has_told(10), is_told);
    }
}

#[test]
fn nothing_is_told_behind_the_end_and_nothing_before_a_gap() {
    let (at, end) = ("2026-01-02T03:04:06Z", completed("CANCELLED", &json!("inconclusive"), &json!([])));
    let late = story(&[started(), message(0, at), end, message(1, at)]);
    let all = told(&late, Progress::default());
    assert_eq!((kinds(&all), all[1]["messages"].as_array().unwrap().len()), (ALL.to_vec(), 1));
    assert_eq!(all[2]["results"]["error"], "why");
    let gap = story(&[started(), message(1, at)]);
    assert_eq!(kinds(&told(&gap, Progress::default())), ALL[..1]);
    let orphan = story(&[message(0, at)]);
    assert!(orphan.next(&Progress::default()).is_none(), "its outcome brings the rest");
}

#[test]
fn what_is_given_up_is_not_told_and_what_comes_later_is() {
    let events = [started(), message(0, "2026-01-02T03:04:06Z"), message(1, "2026-01-02T03:04:07Z")];
    let given_up = Progress::default().without(&story(&events[..2]));
    assert!(given_up.has_told(20));
    assert_eq!(kinds(&told(&story(&events), given_up)), ALL[1..2]);
    let over = story(&[started(), completed("ERROR", &json!(null), &json!([]))]);
    assert!(over.next(&Progress::default().without(&over)).is_none());
    assert!(over.next(&Progress::default().unwanted()).is_none());
}
