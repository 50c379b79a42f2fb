//! Endpoints that do not answer are their own projects' trouble.

use std::time::Duration;

use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::run::RunTracerFactory;
use tokio::task::JoinSet;

use super::play::{SPANS, destination, factory_with, run, spec};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::worker::within;

/// Less than a post may hang, so that nobody waits for its end.
const DEADLINE: Duration = Duration::from_secs(8);

/// Ends `runs` runs of `project` whose endpoint never answers.
fn hang(
    ends: &mut JoinSet<()>,
    factory: &RunTracerFactory,
    project: &str,
    receiver: &OtlpReceiver,
    runs: usize,
) {
    for n in 0..runs {
        let (factory, spec) =
            (factory.clone(), spec(project, &format!("r{n}"), Some(destination(receiver, "k"))));
        ends.spawn(async move { drop(run(&factory, spec).await) });
    }
}

async fn healthy(factory: &RunTracerFactory) {
    let receiver = OtlpReceiver::start(Mode::Ok).await;
    let receipt = run(factory, spec("healthy", "r1", Some(destination(&receiver, "k")))).await;
    assert_eq!((receipt.exported, receipt.error), (SPANS, None));
}

#[tokio::test]
async fn hundreds_of_runs_whose_endpoint_hangs_take_nobody_elses_delivery_away() {
    let (factory, mut ends) = (factory_with(DEADLINE, Metrics::new().unwrap()), JoinSet::new());
    let receiver = OtlpReceiver::start(Mode::Hang).await;
    hang(&mut ends, &factory, "hangs", &receiver, 400);
    within(async || receiver.attempts().len() >= 32).await;
    healthy(&factory).await;
    assert_eq!(receiver.attempts().len(), 32, "a share is a share");
}

#[tokio::test]
async fn many_endpoints_that_hang_do_not_either() {
    let (factory, mut ends) = (factory_with(DEADLINE, Metrics::new().unwrap()), JoinSet::new());
    let mut receivers = Vec::new();
    for n in 0..12 {
        let receiver = OtlpReceiver::start(Mode::Hang).await;
        hang(&mut ends, &factory, &format!("hangs{n}"), &receiver, 40);
        receivers.push(receiver);
    }
    let posts = || receivers.iter().map(|receiver| receiver.attempts().len()).sum::<usize>();
    within(async || posts() >= 256).await;
    healthy(&factory).await;
}
