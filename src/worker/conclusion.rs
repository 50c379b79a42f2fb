//! The end of a run: outcome, then state, then acknowledgement. A crash between any two of them repeats the rest only.

use std::time::Duration;

use super::journal::is_outage;
use super::processor::{Hold, ProcessError, Processor};
use crate::events::{Attribution, RunCompleted, RunStatus, TraceContext};
use crate::execution::failure::{RunFailure, code};
use crate::execution::ports::JournalError;
use crate::queue::{ClaimedRun, Delivery, PublishError, Published};

impl Processor {
    /// The run's state has the ending already, so whoever takes the run from a worker that falls asleep here publishes
    /// the same.
    pub(super) async fn conclude(
        &self,
        delivery: Delivery,
        claim: ClaimedRun,
        hold: &Hold,
        completed: RunCompleted,
        context: Option<TraceContext>,
    ) -> Result<(), ProcessError> {
        if !hold.lease.holds() {
            self.lose(delivery, "its lease was over before its outcome was published");
            return Ok(());
        }
        let status = self.publish(hold, completed, context.as_ref()).await?;
        let ttl = self.parts.publisher.state_retention();
        let is_outage = |error: &JournalError| matches!(error, JournalError::Unavailable(_));
        match hold.lease.insist(is_outage, || claim.finish(status, ttl)).await {
            Ok(()) => Ok(delivery.ack().await?),
            Err(JournalError::LeaseLost(why)) => {
                self.lose(delivery, &why);
                Ok(())
            }
            // Without its acknowledgement the request comes back, and the state is made up for.
            Err(error) => Err(error.into()),
        }
    }

    /// Publishes the outcome, and answers the status of the one that counts.
    async fn publish(
        &self,
        hold: &Hold,
        completed: RunCompleted,
        context: Option<&TraceContext>,
    ) -> Result<Option<RunStatus>, ProcessError> {
        let publish = || self.publish_or_shorten(&completed, context);
        match hold.lease.insist(is_outage, publish).await? {
            (Published::Stored, stored) => {
                self.report(&stored);
                Ok(Some(stored.status))
            }
            (Published::AlreadyThere, dropped) => {
                self.parts.metrics.outcome_conflict();
                let key = dropped.ids.key();
                tracing::warn!("the run had an outcome already; this one is dropped");
                Ok(self.parts.publisher.outcome(&key).await?.and_then(|outcome| outcome.status))
            }
        }
    }

    /// An outcome that does not fit is an outcome all the same: an error that says so.
    async fn publish_or_shorten(
        &self,
        completed: &RunCompleted,
        context: Option<&TraceContext>,
    ) -> Result<(Published, RunCompleted), PublishError> {
        let publisher = &self.parts.publisher;
        match publisher.completed(completed, context).await {
            Err(error @ PublishError::TooLarge { .. }) => {
                let failure =
                    RunFailure::new(code::OUTCOME_TOO_LARGE, Attribution::Definition, error.to_string())
                        .with_hint("Shorten the criteria, or raise `max_payload` of the nats-server.");
                let short = shortened(failure, completed);
                Ok((publisher.completed(&short, context).await?, short))
            }
            stored => Ok((stored?, completed.clone())),
        }
    }

    fn report(&self, completed: &RunCompleted) {
        self.parts.metrics.outcome(completed.status, Duration::from_millis(completed.duration_ms));
        tracing::info!(
            scenario = %completed.ids.scenario_id,
            status = ?completed.status,
            error.code = completed.error.as_ref().map(|error| error.code.as_str()),
            error.attributed_to = completed.error.as_ref().map(|error| tracing::field::debug(error.attributed_to)),
            turns = completed.turns,
            attempts = completed.attempts,
            duration_ms = completed.duration_ms,
            spans.made = completed.telemetry.spans,
            spans.exported = completed.telemetry.exported,
            "run completed"
        );
    }
}

/// The outcome without what may be large. What the run cost and what became of its spans is as true as before.
fn shortened(failure: RunFailure, completed: &RunCompleted) -> RunCompleted {
    RunCompleted {
        status: RunStatus::Error,
        success: false,
        verdict: None,
        error: Some(failure.to_error()),
        reasoning: failure.message,
        criteria: Vec::new(),
        met_criteria: Vec::new(),
        unmet_criteria: Vec::new(),
        messages: None,
        messages_truncated: true,
        ..completed.clone()
    }
}
