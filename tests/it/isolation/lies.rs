//! Processes that say what cannot be understood, or may not be said.

use std::sync::Arc;

use scenario_worker::execution::limits::ScopeKind;
use serde_json::{Value, json};

use super::programs::{advanced, error, played, played_as, played_spooling, says, shell};
use crate::support::limits::scope;
use crate::support::play::{self, Stage};
use crate::support::span_spool::MemorySpool;

/// What a process does that has said all it has to say.
const WAITS: &str = "exec sleep 1000";

fn message(content: &str) -> Value {
    json!({ "turn": 1, "role": "user", "content": content, "at": "2026-01-01T00:00:00Z" })
}

fn call(call: &Value) -> Value {
    json!({ "call": { "id": 0, "call": call } })
}

/// Spans that a process wants to have kept.
fn late_spans(body: &str) -> Value {
    json!({ "spool": {
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "context": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""],
        "spans": 3, "at": "2026-01-01T00:00:00Z", "gzip": false, "body": body,
    } })
}

#[tokio::test]
async fn garbage_on_the_pipe_is_an_outcome() {
    for script in [
        "echo 'hello, this is a log line'",
        r"printf '\377\377\377\377'",
        r"printf '\000\000\000\002no'",
        r"printf '\000\000\000\004null'",
        "head -c 100000 /dev/zero",
    ] {
        let (code, text) = error(played(Stage::default(), shell(&format!("{script}; {WAITS}"))).await);
        assert_eq!(code, "child_protocol", "{script}: {text}");
    }
}

#[tokio::test]
async fn messages_that_may_not_be_sent_are_an_outcome() {
    let tally = json!({ "exported": 0, "spooled": 0, "failures": {}, "dropped": {} });
    let place = json!({ "lane": "judge 1", "number": 0 });
    let mut no_trace = advanced(0, &json!({}));
    no_trace["call"]["call"]["advanced"]["trace_id"] = json!("../../etc/passwd");
    for frames in [
        vec![json!({ "call": { "id": 0, "call": "format_the_disk" } })],
        vec![json!({ "end": { "end": "outcome", "tally": tally } })],
        vec![json!({ "end": { "end": { "interrupted": null }, "tally": tally } })],
        vec![no_trace],
        vec![
            advanced(0, &json!({ "messages": [message("one")] })),
            advanced(1, &json!({ "messages": [message("two")] })),
        ],
        vec![advanced(0, &json!({ "messages": [message("one")] })), advanced(1, &json!({}))],
        vec![call(&late_spans("AAAA"))],
        vec![call(&json!("recording"))],
        vec![call(&json!({ "publish": {} }))],
        vec![call(&json!({ "recall": place }))],
        vec![call(&json!({ "permit": { "again": 7 } }))],
        vec![call(&json!({ "permit": { "first": [scope(ScopeKind::Provider)] } }))],
        vec![call(&json!({ "keep": [place, { "asked": null, "answered": { "reply": null } }] }))],
        vec![call(
            &json!({ "started": { "conversation": super::programs::conversation(&json!({})), "trace_id": "0af7651916cd43dd8448eb211c80319c" } }),
        )],
    ] {
        let (_file, launcher) = says(&frames, WAITS);
        let (code, text) = error(played(Stage::default(), launcher).await);
        assert_eq!(code, "child_protocol", "{frames:?}: {text}");
    }
}

#[tokio::test]
async fn a_process_that_asks_and_never_listens_is_given_up() {
    let request = play::request(&json!({ "cassette": "record" }));
    let keep = json!({ "keep": [{ "lane": "judge 1", "number": 0 }, { "asked": null, "answered": { "reply": null } }] });
    let (_file, launcher) = says(&vec![call(&keep); 10_000], WAITS);
    assert_eq!(error(played_as(Stage::default(), &request, launcher).await).0, "child_protocol");
}

#[tokio::test]
async fn a_process_keeps_what_it_says_in_its_own_recording_and_events_only() {
    let stage = Stage::default();
    let (record, cassettes) = (Arc::clone(&stage.record), Arc::clone(&stage.cassettes));
    let brief = json!({
        "scenario": { "id": "refund", "name": "Refund", "situation": "s" },
        "max_turns": 1, "min_turns": 0, "user_simulator": "a/b", "judges": "a/b",
    });
    let mut begin = advanced(
        0,
        &json!({ "brief": brief, "trace_context": [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""
    ] }),
    );
    let entry = begin["call"]["call"]["advanced"].take();
    let begin = call(&json!({ "started": entry }));
    let (_file, launcher) = says(&[begin, call(&json!({ "publish": { "judge 1": 7 } }))], "exit 3");
    let request = play::request(&json!({ "cassette": { "mode": "record", "name": "mine" } }));
    played_as(stage, &request, launcher).await;
    let started = record.started.lock().unwrap().clone();
    assert_eq!((&started[0].ids, started[0].attempt), (&request.ids(), 1));
    let stored = record.conversation.lock().unwrap().clone().unwrap();
    assert_eq!(stored.trace_context, None, "a request without a trace context has events without one");
    assert_eq!(cassettes.recorded(), [("mine".to_owned(), request.key.run.clone())]);
}

#[tokio::test]
async fn late_spans_are_those_of_the_run_whatever_its_process_says() {
    let (spool, request) = (Arc::new(MemorySpool::default()), play::request(&json!({})));
    let mut foreign = late_spans("AAAA");
    foreign["spool"]["ids"] = json!({ "projectId": "other" });
    let (_file, launcher) = says(&[call(&foreign)], "exit 3");
    played_spooling(&spool, Stage::default(), &request, launcher).await;
    let (parcel, packed) = spool.parcels().pop().unwrap();
    assert_eq!((parcel.ids, parcel.spans, parcel.trace_context), (request.ids(), 3, None));
    assert_eq!(packed.body.as_ref(), [0, 0, 0]);
}

#[tokio::test]
async fn late_spans_that_cannot_be_read_are_an_outcome() {
    let (spool, request) = (Arc::new(MemorySpool::default()), play::request(&json!({})));
    let mut traceless = late_spans("AAAA");
    traceless["spool"]["trace_id"] = json!("../../etc/passwd");
    for late in [late_spans("no base64"), traceless] {
        let (_file, launcher) = says(&[call(&late)], WAITS);
        let (code, text) = error(played_spooling(&spool, Stage::default(), &request, launcher).await);
        assert_eq!(code, "child_protocol", "{late}: {text}");
    }
    assert!(spool.parcels().is_empty());
}
