//! Calls of a process that are limited.

use std::path::Path;
use std::time::Duration;

use scenario_worker::definitions::CallLimits;
use scenario_worker::execution::limits::{Scope, Throttled};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::programs::{error, played_behind, says, shell};
use crate::support::limits::Doorkeeper;
use crate::support::play::{Stage, project};
use crate::support::worker::within;

const LIMITS: CallLimits = CallLimits { requests_per_minute: None, max_in_flight: Some(1) };

/// A run of a project whose calls are limited.
fn stage() -> Stage {
    let limited = scenario_worker::definitions::Project { limits: Some(LIMITS), ..project() };
    Stage { project: Some(limited), ..Stage::default() }
}

/// The process asks for the turn of a call of that project.
fn asks(id: u64) -> Value {
    let scope = Scope::project(&project().id, Some(LIMITS)).unwrap();
    call(id, &json!({ "first": [scope] }))
}

fn call(id: u64, permit: &Value) -> Value {
    json!({ "call": { "id": id, "call": { "permit": permit } } })
}

/// Crashes as soon as the file is there.
fn crash_at(sign: &Path) -> String {
    format!("while [ ! -e {} ]; do sleep 0.02; done; exit 3", sign.display())
}

/// What is left of the limits of a process that says this and crashes as soon as it is `so`.
async fn crashed_when(
    doorkeeper: &Doorkeeper,
    frames: &[Value],
    so: impl Fn(&Doorkeeper) -> bool,
) -> (String, usize) {
    let folder = TempDir::new().unwrap();
    let sign = folder.path().join("now");
    let (_file, launcher) = says(frames, &crash_at(&sign));
    let (end, ()) = tokio::join!(played_behind(doorkeeper, stage(), launcher), async {
        within(async || so(doorkeeper)).await;
        std::fs::write(&sign, "").unwrap();
    });
    (error(end).0, doorkeeper.seen().inside)
}

#[tokio::test]
async fn the_calls_of_a_process_that_crashes_are_over() {
    let doorkeeper = Doorkeeper::default();
    let crashed = crashed_when(&doorkeeper, &[asks(0), asks(1)], |d| d.seen().inside == 2).await;
    assert_eq!(crashed, ("child_crashed".to_owned(), 0));
    assert_eq!(doorkeeper.seen().admitted, [["project"], ["project"]]);
}

#[tokio::test]
async fn a_call_is_over_when_its_process_says_so() {
    let over = json!({ "over": { "call": 0 } });
    let doorkeeper = Doorkeeper::slow(Duration::from_millis(100));
    let frames = [asks(0), over, asks(1)];
    let crashed = crashed_when(&doorkeeper, &frames, |d| d.seen().inside == 1).await;
    assert_eq!(crashed, ("child_crashed".to_owned(), 0));
    assert_eq!(doorkeeper.seen().admitted.len(), 1, "the first one was given up before it had its turn");
}

/// A shell cannot take turns with the worker, so it says all that it has to say once the call was let through.
#[tokio::test]
async fn what_a_callee_says_of_the_number_of_calls_is_told_once_for_each_try() {
    let folder = TempDir::new().unwrap();
    let sign = folder.path().join("now");
    let throttled = Throttled { retry_after: Some(Duration::from_secs(7)) };
    let told = json!({ "throttled": { "call": 0, "throttled": throttled } });
    let again = call(1, &json!({ "again": 0 }));
    let (_first, first) = says(&[asks(0)], "true");
    let (_rest, rest) = says(&[told.clone(), told.clone(), again], &crash_at(&folder.path().join("end")));
    let [first, rest] = [first, rest].map(|launcher| launcher.arguments[1].to_str().unwrap().to_owned());
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", sign.display());
    let (doorkeeper, launcher) = (Doorkeeper::default(), shell(&format!("{first}; {wait}; {rest}")));
    let (end, ()) = tokio::join!(played_behind(&doorkeeper, stage(), launcher), async {
        within(async || doorkeeper.seen().inside == 1).await;
        std::fs::write(&sign, "").unwrap();
        within(async || doorkeeper.seen().again == 1).await;
        std::fs::write(folder.path().join("end"), "").unwrap();
    });
    assert_eq!(error(end).0, "child_crashed");
    let seen = doorkeeper.seen();
    assert_eq!((seen.refused, seen.inside), (vec![throttled], 0));
}
