//! One run, or a few, on a small fleet, for a test that knows what it does to whom and when.

use std::sync::Arc;

use super::checker::{self, Violation};
use super::doubles::{Director, Doubles};
use super::fleet::{self, Fleet};
use super::history::{History, Limits, Moment, Recorder, now};
use super::load;
use super::record;
use super::timeline;
use crate::support::nats::NatsAccount;
use crate::support::worker::within;

/// Workers, doubles and a client on an account of a broker.
pub(crate) struct Scene {
    pub(crate) recorder: Recorder,
    pub(crate) fleet: Fleet,
    pub(crate) client: async_nats::Client,
    /// The run's number.
    number: usize,
    limits: Limits,
    /// They answer for as long as the scene lasts.
    _doubles: Doubles,
}

impl Scene {
    /// Starts `workers` workers that know run number `number`, and waits until they are ready.
    pub(crate) async fn start(
        workers: usize,
        number: usize,
        account: &NatsAccount,
        director: Arc<dyn Director>,
        limits: Limits,
    ) -> Self {
        let recorder = Recorder::default();
        let doubles = Doubles::start(&recorder, director).await;
        let runs = [load::run_id(number)];
        let fleet = Fleet::start(workers, account, &doubles, &runs, limits, &recorder).await;
        let client = account.client().await;
        record::ready(&client).await;
        within(async || fleet.workers.iter().all(|worker| worker.has_begun())).await;
        Self { recorder, fleet, client, number, limits, _doubles: doubles }
    }

    /// Requests the run.
    pub(crate) async fn request(&self) {
        load::request_once(self.client.clone(), &self.recorder, self.number).await;
    }

    /// Kills a worker, which is started again at once. Since `unheard_since` the broker heard nothing of its run.
    pub(crate) fn kill(&self, worker: usize, unheard_since: Option<Moment>) {
        let from = now();
        self.fleet.workers[worker].signal("-KILL");
        self.recorder.kill(worker, from, unheard_since);
    }

    /// Waits until all is over, and returns what everybody saw and which promises it breaks.
    pub(crate) async fn end(mut self, what: &str) -> (History, Vec<Violation>) {
        let quiet = record::quiet(&self.client).await;
        self.fleet.stop().await;
        record::keep(&self.client, &self.recorder).await;
        let (history, troubles) = (self.recorder.snapshot(), fleet::troubles(&self.fleet));
        self.fleet.clean().await;
        let violations = checker::check(&history, self.limits);
        if !violations.is_empty() || !quiet {
            let (listed, timeline) = (checker::list(&violations), timeline::of(&history, &violations));
            super::summary::say(&format!(
                "{what} (all was over in time: {quiet})\n{listed}\n{timeline}{troubles}\n"
            ));
        }
        assert!(quiet, "{what}: the run does not end");
        (history, violations)
    }
}
