//! The leak matrix: hundreds of runs of many tenants, played at once by a worker among hostile variables, which is killed in
//! the middle, and every counter of what must not be seen where is zero.

mod agent;
mod blindness;
mod cast;
mod counters;
mod evidence;
mod known;
mod requests;
mod stage;
mod texts;
mod traces;

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use self::cast::{Kind, Run};
use self::counters::Leaks;
use self::evidence::{Door, Evidence, Told};
use self::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_run_leaks_among_many_tenants() {
    println!("{}", nothing_leaks("task", 200, 32).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_run_leaks_among_many_tenants_where_runs_have_processes() {
    println!("{}", nothing_leaks("process", 60, 8).await);
}

/// Answers what was played.
async fn nothing_leaks(isolation: &str, count: usize, concurrency: usize) -> String {
    let begun = Instant::now();
    let stage = Stage::new(isolation, concurrency).await;
    let runs: Vec<Run> = (0..count).map(|number| Run::new(number, stage.tenants.len())).collect();
    let (stage, log) = play(stage, &runs).await;
    let (evidence, played) = (stage.evidence(runs, log), begun.elapsed());
    let leaks = Leaks::in_(&evidence);
    assert!(leaks.counters().is_empty(), "{leaks}");
    every_run_is_as_meant(&evidence);
    the_worker_said_much(&evidence, isolation);
    assert!(stage.speaks_http2());
    format!("{isolation}: {} in {played:?}", summary(&evidence))
}

/// Two lives of a worker: the first is killed with half of the runs under way. Answers the log of both.
async fn play(stage: Stage, runs: &[Run]) -> (Stage, Vec<String>) {
    // Its own spans are switched off, and those of runs must come all the same.
    let stage =
        stage.with_variable("OTEL_TRACES_SAMPLER", "always_off").with_variable("OTEL_SDK_DISABLED", "true");
    let (early, late) = runs.split_at(runs.len() / 2);
    let first = stage.place().serve().await;
    stage.agent.sends_to(first.receiver());
    stage.ask(early).await;
    stage.until_orphans(early.iter().filter(|run| run.kind == Kind::Orphaned).count()).await;
    let mut log = first.killed().await;
    // From here on its own spans are all there, and could be where they must not be.
    let stage =
        stage.with_variable("OTEL_TRACES_SAMPLER", "always_on").with_variable("OTEL_SDK_DISABLED", "false");
    let second = stage.place().serve().await;
    stage.agent.sends_to(second.receiver());
    stage.close_last_door();
    stage.agent.open_doors();
    stage.ask(late).await;
    stage.until_told("outcomes", |told| all_told(told, runs.len())).await;
    stage.open_last_door();
    stage.until_told("spans that were kept", nothing_is_kept).await;
    second.terminate();
    let (status, lines) = second.ended().await;
    assert!(status.success(), "{status}");
    log.extend(lines);
    (stage, log)
}

fn all_told(told: &[Told], count: usize) -> bool {
    let completed = told.iter().filter(|told| told.kind == "completed");
    completed.map(|told| &told.run).collect::<BTreeSet<_>>().len() == count
}

/// Whether every outcome whose spans were kept was followed by word of them.
fn nothing_is_kept(told: &[Told]) -> bool {
    let delivered: BTreeSet<&str> =
        told.iter().filter(|told| told.kind == "telemetry_delivered").map(|told| told.run.as_str()).collect();
    let kept = told
        .iter()
        .filter(|told| told.payload["telemetry"]["spooled"].as_u64().is_some_and(|count| count > 0));
    kept.map(|told| told.run.as_str()).all(|run| delivered.contains(run))
}

/// What could not leak because it was not there proves nothing.
fn every_run_is_as_meant(evidence: &Evidence) {
    let outcomes = evidence.outcomes();
    for (number, run) in evidence.runs.iter().enumerate() {
        let outcome = outcomes[run.id.as_str()];
        let (status, code) = (&outcome["status"], &outcome["error"]["code"]);
        let is_early = number < evidence.runs.len() / 2;
        let is_as_meant = match run.kind {
            Kind::Passes | Kind::Prompted => status == "SUCCESS",
            Kind::Traced => status == "SUCCESS" && (outcome["attempts"] != 1 || has_spans_of_agent(outcome)),
            Kind::Orphaned => status == "SUCCESS" && !(is_early && outcome["attempts"] == 1),
            Kind::Fails => status == "FAILED",
            Kind::Breaks => code == "http_status",
            Kind::Refused => code == "model_provider_error",
            Kind::Cancelled => status == "CANCELLED",
            Kind::Late => status != "SUCCESS",
        };
        assert!(is_as_meant, "{outcome}");
    }
    let is_left = |outcome: &&Value| {
        let telemetry = &outcome["telemetry"];
        telemetry["spooled"] != 0 || outcome["attempts"] == 1 && telemetry["unconfirmed"].is_u64()
    };
    assert!(outcomes.values().any(is_left), "every endpoint took every span at once");
}

fn has_spans_of_agent(outcome: &Value) -> bool {
    outcome["telemetry"]["received"].as_u64() >= Some(agent::SPANS.into())
}

/// The worker's own telemetry came, as the variables say, and the log has what libraries say. Where runs have processes, the
/// libraries that only they use say nothing.
fn the_worker_said_much(evidence: &Evidence, isolation: &str) {
    let own: Vec<_> = evidence.seen.iter().filter(|seen| seen.door == Door::Worker).collect();
    let mut spans = own.iter().flat_map(|seen| &seen.spans);
    assert!(spans.any(|span| span.name.starts_with("process ")), "the worker has no spans");
    let renamed = own.iter().any(|seen| seen.content.contains("CanaryVariableService"));
    assert!(renamed, "the variables change nothing");
    let of_tasks = if isolation == "task" { &["h2::"][..] } else { &[] };
    for library in ["sqlx::", "async_nats", "scenario_worker::"].iter().chain(of_tasks) {
        let target = format!(r#""target":"{library}"#);
        assert!(evidence.log.iter().any(|line| line.contains(&target)), "{library} says nothing");
    }
}

fn summary(evidence: &Evidence) -> String {
    let own = evidence.seen.iter().filter(|seen| seen.door == Door::Worker).map(|seen| seen.spans.len());
    format!(
        "{} runs of {} tenants, {} requests, {} spans of runs, {} of the worker, {} events, {} lines of the log",
        evidence.runs.len(),
        evidence.tenants.len(),
        evidence.seen.len(),
        evidence.held.len(),
        own.sum::<usize>(),
        evidence.told.len(),
        evidence.log.len()
    )
}
