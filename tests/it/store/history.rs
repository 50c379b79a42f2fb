//! The history of runs in the database.

use std::sync::Arc;
use std::time::Duration;

use scenario_worker::events::{ProjectId, RunStatus};
use scenario_worker::execution::history::{HistoryFilter, RunHistory, RunSummary};
use scenario_worker::execution::ports::Clock;
use scenario_worker::settings::{PoolSettings, StoreSettings};
use scenario_worker::store::Store;
use scenario_worker::worker::Pruning;
use serde_json::json;
use sqlx::{AnyConnection, Connection as _, Executor as _};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{ACME, chain, import};
use crate::support::database::{TestDatabase, on_both_databases};
use crate::support::history::{key, record};
use crate::support::worker::within;

on_both_databases!(
    a_run_is_written_once_and_stays_as_it_was_first,
    what_was_written_down_is_found_again,
    lists_are_filtered_and_go_on_behind_their_last_run,
    what_no_text_may_hold_does_not_keep_a_run_out,
    old_runs_are_removed_a_few_at_a_time_by_one_worker_at_a_time,
    a_history_that_is_gone_is_unavailable_and_says_what_was_attempted,
);

const NOW: OffsetDateTime = datetime!(2026-03-01 00:00 UTC);
/// Runs in the database when it is looked how they are found.
const MANY: i64 = 20_000;

/// All runs of a filter.
async fn listed(store: &Store, filter: HistoryFilter) -> Vec<RunSummary> {
    store.list(&filter, 100).await.unwrap()
}

fn runs(listed: &[RunSummary]) -> Vec<&str> {
    listed.iter().map(|run| run.ids.scenario_run_id.as_str()).collect()
}

/// How a run that ended so many seconds after the others says so.
fn ending(second: u32) -> serde_json::Value {
    json!({ "finishedAt": format!("2026-02-10T12:01:{second:02}Z") })
}

async fn a_run_is_written_once_and_stays_as_it_was_first(database: &TestDatabase) {
    let store = database.store().await;
    assert_eq!(store.record(&[]).await.unwrap(), 0);
    let first = record("acme", "one", &json!({ "turns": 2 }));
    assert_eq!(store.record(std::slice::from_ref(&first)).await.unwrap(), 1);
    let again = record("acme", "one", &json!({ "turns": 9 }));
    let other = record("other", "one", &json!({}));
    let both = [again.clone(), other.clone(), other];
    assert_eq!(store.record(&both).await.unwrap(), 1, "only the other project's is new");
    assert_eq!(store.run(&key("acme", "one")).await.unwrap(), Some(first));
    assert_eq!(listed(&store, HistoryFilter::default()).await.len(), 2);
}

async fn what_was_written_down_is_found_again(database: &TestDatabase) {
    let store = database.store().await;
    let run = record("acme", "one", &json!({ "ofANewerWorker": [1, "é"] }));
    store.record(std::slice::from_ref(&run)).await.unwrap();
    let found = store.run(&key("acme", "one")).await.unwrap().unwrap();
    assert!(found == run && found.document.contains("ofANewerWorker"));
    assert_eq!(store.run(&key("acme", "another")).await.unwrap(), None);
    let summary = serde_json::to_value(&listed(&store, HistoryFilter::default()).await[0]).unwrap();
    let expected = json!({
        "scenarioRunId": "one", "projectId": "acme", "scenarioId": "refund", "batchRunId": "b-1", "setId": "default",
        "target": { "type": "http", "referenceId": "shop" }, "status": "FAILED", "verdict": "failure",
        "errorCode": null, "problem": "It apologises at once", "attempts": 1, "turns": 2,
        "startedAt": "2026-02-10T12:00:00Z", "finishedAt": "2026-02-10T12:00:04.5Z", "durationMs": 4500,
        "tokens": 30, "costUsd": 0.5, "traceId": "0af7651916cd43dd8448eb211c80319c",
    });
    assert_eq!(summary, expected);
}

async fn lists_are_filtered_and_go_on_behind_their_last_run(database: &TestDatabase) {
    let store = database.store().await;
    let error =
        json!({ "code": "target_unreachable", "message": "nobody answers", "attributedTo": "target" });
    let mut with_error = ending(9);
    with_error.as_object_mut().unwrap().extend([
        ("status".to_owned(), json!("ERROR")),
        ("verdict".to_owned(), json!(null)),
        ("error".to_owned(), error),
        ("setId".to_owned(), json!("nightly")),
        ("batchRunId".to_owned(), json!("b 2")),
        ("scenarioId".to_owned(), json!("chat")),
        ("target".to_owned(), json!({ "type": "prompt", "referenceId": "support" })),
    ]);
    let mut all = vec![record("acme", "broken", &with_error), record("other", "s", &ending(5))];
    all.extend((0..5).map(|n| record("acme", &format!("r{n}"), &ending(5))));
    assert_eq!(store.record(&all).await.unwrap(), 7);
    let newest_first = ["s", "broken", "r4", "r3", "r2", "r1", "r0"];
    let project = ProjectId::parse("acme").ok();
    let of_acme = HistoryFilter { project, ..HistoryFilter::default() };
    assert_eq!(runs(&listed(&store, of_acme.clone()).await), newest_first[1..]);
    assert_eq!(runs(&listed(&store, HistoryFilter::default()).await)[..2], ["broken", "s"]);

    let (mut paged, mut filter) = (Vec::new(), of_acme.clone());
    loop {
        let page = store.list(&filter, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some(last.cursor());
        paged.extend(runs(&page).into_iter().map(str::to_owned));
    }
    assert_eq!(paged, newest_first[1..], "runs that ended at the same time are told apart");

    let broken = listed(&store, HistoryFilter { statuses: vec![RunStatus::Error], ..of_acme.clone() }).await;
    assert_eq!(
        (broken[0].error_code.as_deref(), broken[0].problem.as_deref()),
        (Some("target_unreachable"), Some("nobody answers"))
    );
    let found = &broken[0];
    let same = |filter: HistoryFilter| async { runs(&listed(&store, filter).await).join(" ") };
    let ids = found.ids.clone();
    assert_eq!(same(HistoryFilter { scenario: Some(ids.scenario_id), ..of_acme.clone() }).await, "broken");
    assert_eq!(
        same(HistoryFilter { batch: Some(ids.batch_run_id), ..HistoryFilter::default() }).await,
        "broken"
    );
    assert_eq!(same(HistoryFilter { set: Some(ids.set_id), ..of_acme.clone() }).await, "broken");
    assert_eq!(same(HistoryFilter { target: Some(found.target.clone()), ..of_acme.clone() }).await, "broken");
    let since = Some(datetime!(2026-02-10 12:01:06 UTC));
    assert_eq!(same(HistoryFilter { since, ..of_acme.clone() }).await, "broken");
    let statuses = vec![RunStatus::Success, RunStatus::Cancelled];
    assert_eq!(same(HistoryFilter { statuses, ..of_acme }).await, "");
}

async fn what_no_text_may_hold_does_not_keep_a_run_out(database: &TestDatabase) {
    let store = database.store().await;
    let error =
        json!({ "code": "a\u{0}b", "message": "c\u{0}d '; DROP TABLE runs; --", "attributedTo": "target" });
    let run =
        record("acme", "one", &json!({ "status": "ERROR", "error": error, "reasoning": "\u{0}\u{1F600}" }));
    assert_eq!(store.record(std::slice::from_ref(&run)).await.unwrap(), 1);
    assert_eq!(store.run(&key("acme", "one")).await.unwrap(), Some(run));
    let summary = &listed(&store, HistoryFilter::default()).await[0];
    assert_eq!(
        (summary.error_code.as_deref(), summary.problem.as_deref()),
        (Some("a b"), Some("c d '; DROP TABLE runs; --"))
    );
}

/// A clock that somebody set.
struct SetTo(OffsetDateTime);

impl Clock for SetTo {
    fn now(&self) -> OffsetDateTime {
        self.0
    }
}

fn pruning(store: &Store, now: OffsetDateTime) -> Pruning {
    let retention = Duration::from_hours(24);
    Pruning { history: Arc::new(store.clone()), retention, clock: Arc::new(SetTo(now)) }
}

async fn old_runs_are_removed_a_few_at_a_time_by_one_worker_at_a_time(database: &TestDatabase) {
    let (store, another) = (database.store().await, database.store().await);
    let ended = |run: &str, at: &str| record("acme", run, &json!({ "finishedAt": at }));
    let old = [("a", "2026-02-01T00:00:00Z"), ("b", "2026-02-27T23:59:59Z"), ("c", "2026-01-01T00:00:00Z")];
    let mut all: Vec<_> = old.iter().map(|(run, at)| ended(run, at)).collect();
    all.push(ended("young", "2026-02-28T00:00:01Z"));
    store.record(&all).await.unwrap();
    assert_eq!(store.prune(NOW, 1).await.unwrap(), 1);
    assert_eq!(store.run(&key("acme", "c")).await.unwrap(), None, "the oldest goes first");
    let (mine, other) = (pruning(&store, NOW), pruning(&another, NOW));
    let (one, two) = tokio::join!(mine.turn(), other.turn());
    assert_eq!(one.unwrap() + two.unwrap(), 2);
    assert_eq!(runs(&listed(&store, HistoryFilter::default()).await), ["young"]);
    let tomorrow = NOW + Duration::from_hours(24);
    assert!(!store.take_turn_to_prune(NOW, tomorrow).await.unwrap(), "the turn is taken");
    assert_eq!(pruning(&another, tomorrow).turn().await.unwrap(), 1, "and comes again");
}

async fn a_history_that_is_gone_is_unavailable_and_says_what_was_attempted(database: &TestDatabase) {
    let store = database.store().await;
    match database {
        TestDatabase::Sqlite(_) => database.execute("DROP TABLE runs").await,
        TestDatabase::Postgres { .. } => database.ruin().await,
    }
    let error = store.record(&[record("acme", "one", &json!({}))]).await.unwrap_err();
    let error = chain(&error);
    assert!(error.contains("writing down 1 runs in ") && error.contains("Unavailable"), "{error}");
    let error = chain(&store.list(&HistoryFilter::default(), 1).await.unwrap_err());
    assert!(error.contains("listing runs in "), "{error}");
}

#[tokio::test]
async fn every_list_is_found_by_an_index() {
    let Some(database) = TestDatabase::postgres("every_list_is_found_by_an_index").await else { return };
    drop(database.store().await);
    let mut look = AnyConnection::connect(&database.url()).await.unwrap();
    look.execute(
        "INSERT INTO runs SELECT 'p' || n % 20, 'r' || n, 's' || n % 50, 'default', 'b' || n / 10, 'http:shop', \
         CASE WHEN n % 7 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, 'success', NULL, 1, 3, n, n * 1000000::bigint, 7, 1, 0, NULL, NULL, \
         repeat('x', 2000) FROM generate_series(1, 20000) AS n",
    )
    .await
    .unwrap();
    look.execute("VACUUM ANALYZE runs").await.unwrap();
    let before = scans(&mut look).await;

    let store = Store::open(&database.url()).await.unwrap();
    let project = ProjectId::parse("p1").ok();
    let page = store
        .list(&HistoryFilter { project: project.clone(), ..HistoryFilter::default() }, 50)
        .await
        .unwrap();
    let (ids, before_last) = (page[0].ids.clone(), Some(page[49].cursor()));
    let filters = [
        HistoryFilter::default(),
        HistoryFilter { statuses: vec![RunStatus::Failed], ..HistoryFilter::default() },
        HistoryFilter { statuses: vec![RunStatus::Failed, RunStatus::Success], ..HistoryFilter::default() },
        HistoryFilter { project: project.clone(), before: before_last.clone(), ..HistoryFilter::default() },
        HistoryFilter { before: before_last, ..HistoryFilter::default() },
        HistoryFilter { project, scenario: Some(ids.scenario_id), ..HistoryFilter::default() },
        HistoryFilter { batch: Some(ids.batch_run_id), ..HistoryFilter::default() },
        HistoryFilter {
            since: OffsetDateTime::from_unix_timestamp(MANY - 100).ok(),
            ..HistoryFilter::default()
        },
    ];
    for filter in &filters {
        assert!(!store.list(filter, 50).await.unwrap().is_empty(), "{filter:?}");
    }
    assert!(store.run(&key("p1", "r1")).await.is_err(), "the row is there and has no outcome");
    assert_eq!(store.prune(OffsetDateTime::from_unix_timestamp(100).unwrap(), 500).await.unwrap(), 99);
    // What a session has done is known when it has ended.
    store.close().await;
    let asked = i64::try_from(filters.len()).unwrap() + 3;
    within(async || {
        scans(&mut AnyConnection::connect(&database.url()).await.unwrap()).await.1 >= before.1 + asked
    })
    .await;
    assert_eq!(scans(&mut look).await.0, before.0, "nobody has read the whole table");
    look.close().await.unwrap();
    database.drop_database().await;
}

/// How often the table was read as a whole, and by an index.
async fn scans(look: &mut AnyConnection) -> (i64, i64) {
    let query = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'runs'";
    sqlx::query_as(query).fetch_one(look).await.unwrap()
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up_and_so_is_the_wait_for_a_connection() {
    let name = "a_statement_that_takes_too_long_is_given_up_and_so_is_the_wait_for_a_connection";
    let Some(database) = TestDatabase::postgres(name).await else { return };
    drop(database.store().await);
    let pool = PoolSettings { max_connections: 1, acquire_timeout_seconds: 1, ..PoolSettings::default() };
    let settings = StoreSettings { statement_timeout_seconds: 3, pool, ..database.settings() };
    let store = Store::open_with(&settings).await.unwrap();
    let mut holder = AnyConnection::connect(&database.url()).await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    holder.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let none = HistoryFilter::default();
    let (first, second) = tokio::join!(biased_first(&store), store.list(&none, 1));
    assert!(chain(&first.unwrap_err()).contains("statement timeout"));
    assert!(chain(&second.unwrap_err()).contains("PoolTimedOut"));
    holder.execute("ROLLBACK").await.unwrap();
    assert_eq!(store.list(&none, 1).await.unwrap(), [], "the connection is as good as before");
    // An import that waits for another one waits no longer than that either, and migrations wait for as long as it takes.
    store.migrate().await.unwrap();
    import(&store, ACME).await;
    database.drop_database().await;
}

async fn biased_first(
    store: &Store,
) -> Result<Vec<RunSummary>, scenario_worker::execution::failure::Unavailable> {
    store.list(&HistoryFilter::default(), 1).await
}
