//! What the server gave up on becomes a dead letter.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::events::{DeadLetterCode, RunKey, SetId};
use crate::execution::failure::Unavailable;
use crate::queue::{
    ConsumerError, DeadLetters, Delivery, EventPublisher, GivenUpRequest, GivenUpRequests, RunStates, spans,
};
use crate::telemetry::metrics::Metrics;
use crate::text::chain;

/// Requests that this process makes dead letters of at one time.
const AT_ONCE: usize = 4;
/// Pause before an advisory is delivered again whose request could not be made a dead letter.
const REDELIVER_AFTER: Duration = Duration::from_secs(10);

/// Makes dead letters of the requests that the server gave up.
#[derive(Clone)]
pub struct GivenUp {
    /// The requests.
    pub requests: GivenUpRequests,
    /// Where they go.
    pub dead_letters: DeadLetters,
    /// Who runs what.
    pub states: RunStates,
    /// What has come to an outcome.
    pub publisher: EventPublisher,
    /// The set of a run that names none.
    pub default_set: SetId,
    /// What is counted.
    pub metrics: Metrics,
}

impl GivenUp {
    /// Takes advisories until `stop` fires.
    ///
    /// # Errors
    /// [`ConsumerError`] if the consumer of the advisories is gone.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let take = |delivery| {
            let this = self.clone();
            async move { this.take(delivery).await }
        };
        self.requests.advisories().work(AT_ONCE, stop, take).await
    }

    async fn take(&self, advisory: Delivery) {
        let (sequence, work) = (advisory.stream_sequence(), advisory.processing().clone());
        let settled = match self.bury(&advisory).await {
            Ok(()) => advisory.ack().await,
            Err(error) => {
                tracing::warn!(advisory = sequence, error = %chain(&error), "a request that the server gave up has to wait");
                spans::failed(&work, spans::UNAVAILABLE);
                advisory.nak(Some(REDELIVER_AFTER)).await
            }
        };
        if let Err(error) = settled {
            spans::failed(&work, spans::UNSETTLED);
            tracing::warn!(advisory = sequence, %error, "an advisory will be delivered again");
        }
    }

    /// Letter first, then the run's state, then the request itself: after a crash between any two of them the rest is
    /// made up for, and so it is where two workers do this at once.
    async fn bury(&self, advisory: &Delivery) -> Result<(), Unavailable> {
        let Some(given_up) = self.requests.find(advisory).await? else { return Ok(()) };
        let key = given_up.request(&self.default_set).map(|request| request.key).ok();
        if !self.is_settled(key.as_ref()).await? {
            self.write_letter(&given_up).await?;
            if let Some(key) = &key {
                let ttl = self.publisher.state_retention();
                self.states.disown(key, given_up.stream_sequence(), ttl).await?;
            }
        }
        self.requests.remove(&given_up).await
    }

    /// A request whose run has its outcome needs no letter: only its acknowledgement got lost.
    async fn is_settled(&self, key: Option<&RunKey>) -> Result<bool, Unavailable> {
        let Some(key) = key else { return Ok(false) };
        let Some(outcome) = self.publisher.outcome(key).await? else { return Ok(false) };
        self.states.settle(key, outcome.status, self.publisher.state_retention()).await?;
        Ok(true)
    }

    async fn write_letter(&self, given_up: &GivenUpRequest) -> Result<(), Unavailable> {
        let (code, deliveries) = (DeadLetterCode::DeliveriesExhausted, given_up.deliveries());
        let reason = format!("the server delivered the request {deliveries} times and gave up");
        tracing::warn!(
            stream_sequence = given_up.stream_sequence(),
            code = code.as_str(),
            reason,
            "dead letter"
        );
        self.dead_letters.bury(given_up.original(), code, reason).await?;
        Ok(())
    }
}
