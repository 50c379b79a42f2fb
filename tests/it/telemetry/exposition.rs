//! What Prometheus reads is what it can read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scenario_worker::events::{DeadLetterCode, RunStatus};
use scenario_worker::execution::metering::{CallEnd, CallKind, CallMeter as _};
use scenario_worker::telemetry::metrics::{ConsumerMetric, LimitsMetric, Metrics, SpanLoss};

use crate::support::exposition::{Family, parse};

/// Every label that there is. Their values are from closed sets; an id is none of them.
const LABELS: [&str; 7] = ["code", "kind", "le", "reason", "result", "status", "version"];

const BACKLOG: ConsumerMetric =
    ConsumerMetric { pending: 7, ack_pending: 3, redelivered: 1, waiting_pulls: 2 };

/// Metrics of a worker that has met everything.
fn busy() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.delivery(true);
    for status in [RunStatus::Success, RunStatus::Failed, RunStatus::Error, RunStatus::Cancelled] {
        metrics.outcome(status, Duration::from_secs(7));
    }
    metrics.outcome(RunStatus::Success, Duration::from_hours(30));
    for kind in [CallKind::Model, CallKind::Target] {
        for end in [CallEnd::Answered, CallEnd::Failed, CallEnd::Dropped] {
            metrics.called(kind, end, Duration::from_millis(300));
        }
    }
    metrics.export_failed("status");
    metrics.spans_dropped(SpanLoss::Rejected, 2);
    metrics.observe_dead_letters(|| BTreeMap::from([(DeadLetterCode::InvalidJson, 1)]));
    metrics.observe_permission_denials(|| 1);
    metrics.observe_lease_misses(|| 4);
    metrics.observe_permits(64, || 5);
    metrics.observe_readiness(|| true);
    metrics.observe_consumer(|| Some(BACKLOG));
    let limits =
        LimitsMetric { kind: "provider", waits: 2, waited: Duration::from_millis(1500), refusals: 1 };
    metrics.observe_limits(move || vec![limits]);
    metrics
}

fn value(family: &Family) -> f64 {
    let [sample] = family.samples.as_slice() else { panic!("{family:?}") };
    sample.value
}

#[test]
fn the_metrics_of_a_worker_that_has_met_everything_are_clean() {
    let families = parse(&busy().render()).unwrap();
    for (name, family) in &families {
        assert!(name.starts_with("scenario_worker_"), "{name}");
        assert!(!family.samples.is_empty(), "{name} has no value");
        for label in family.samples.iter().flat_map(|sample| sample.labels.keys()) {
            assert!(LABELS.contains(&label.as_str()), "{name} has the label {label}");
        }
    }
    for (name, expected) in [
        ("consumer_pending", 7.0),
        ("consumer_ack_pending", 3.0),
        ("consumer_redelivered", 1.0),
        ("consumer_waiting_pulls", 2.0),
        ("permits", 64.0),
        ("permits_busy", 5.0),
        ("lease_misses_total", 4.0),
        ("redeliveries_total", 1.0),
        ("ready", 1.0),
        ("build_info", 1.0),
    ] {
        let family = families.get(&format!("scenario_worker_{name}")).unwrap_or_else(|| panic!("no {name}"));
        assert!((value(family) - expected).abs() < f64::EPSILON, "{name}: {family:?}");
    }
    let durations: BTreeSet<_> = families
        .iter()
        .filter_map(|(name, family)| (family.kind == "histogram").then_some(name.as_str()))
        .collect();
    assert_eq!(
        durations,
        BTreeSet::from(["scenario_worker_call_duration_seconds", "scenario_worker_run_duration_seconds"])
    );
}

#[test]
fn what_the_broker_does_not_say_is_no_number() {
    let metrics = Metrics::new().unwrap();
    metrics.observe_consumer(|| None);
    let families = parse(&metrics.render()).unwrap();
    assert!(!families.keys().any(|name| name.starts_with("scenario_worker_consumer_")), "{families:?}");
}

#[test]
fn a_flaw_of_an_exposition_is_found() {
    let head = "# HELP a_total x\n# TYPE a_total counter\n";
    let histogram = "# HELP a_seconds x\n# TYPE a_seconds histogram\n";
    let good = format!("{head}a_total{{b=\"c \\\"d\\\\ \\n\"}} 1\na_total 2\n");
    let families = parse(&good).unwrap();
    assert_eq!(families["a_total"].samples[0].labels["b"], "c \"d\\ \n");
    let whole = format!(
        "{histogram}a_seconds_bucket{{le=\"1\"}} 2\na_seconds_bucket{{le=\"+Inf\"}} 3\na_seconds_sum 4\na_seconds_count 3\n"
    );
    parse(&whole).unwrap();
    for (flaw, text) in [
        ("no end of line", good.trim_end().to_owned()),
        ("no help", "# TYPE a_total counter\na_total 1\n".into()),
        ("no type", "# HELP a_total x\na_total 1\n".into()),
        ("no family", "a_total 1\n".into()),
        ("an empty help", good.replace("total x", "total ")),
        (
            "a family in two places",
            format!("{good}# HELP b x\n# TYPE b gauge\nb 1\n{head}a_total{{c=\"d\"}} 1\n"),
        ),
        ("a counter without total", good.replace("a_total", "a")),
        ("a gauge with total", good.replace("counter", "gauge")),
        ("an unknown type", good.replace("counter", "untyped")),
        ("the same twice", format!("{good}a_total 3\n")),
        ("a name with a dot", good.replace("a_total", "a.b_total")),
        ("a name in camel case", good.replace("a_total", "aB_total")),
        ("its type in the name", good.replace("a_total", "a_counter_total")),
        ("an abbreviated unit", good.replace("a_total", "a_ms_total")),
        ("no base unit", good.replace("a_total", "a_milliseconds_total")),
        ("a label with a dash", good.replace("b=", "b-c=")),
        ("a reserved label", good.replace("b=", "__b=")),
        ("an unknown escape", good.replace("\\n", "\\t")),
        ("an open label", format!("{head}a_total{{b=\"c}} 1\n")),
        ("no number", format!("{head}a_total one\n")),
        ("not a number", format!("{head}a_total NaN\n")),
        ("a timestamp", format!("{head}a_total 1 1700000000\n")),
        ("a negative counter", format!("{head}a_total -1\n")),
        ("a bucket that shrinks", whole.replace("\"+Inf\"} 3", "\"+Inf\"} 1").replace("count 3", "count 1")),
        ("a count that differs", whole.replace("count 3", "count 4")),
        ("no +Inf", whole.replace("a_seconds_bucket{le=\"+Inf\"} 3\n", "")),
        ("no sum", whole.replace("a_seconds_sum 4\n", "")),
        ("bounds that fall", whole.replace("+Inf", "0.5")),
    ] {
        assert!(parse(&text).is_err(), "{flaw} was not found in:\n{text}");
    }
}
