//! What became of one run's spans on this worker, and why.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::steps::StepParcels;
use crate::events::{DeliveryFailure, DeliveryFailureKind};
use crate::execution::types::SpanCounts;
use crate::telemetry::export::ExportError;

/// Counts and reasons. Every span that is not there has one reason.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Those that something was made of so far; how many were made is not known here.
    counts: SpanCounts,
    /// Time ran out while they were being kept for later: nobody knows whether they are.
    in_doubt: u64,
    /// Why the last attempt failed. It is the reason of whatever is left when there are no more attempts.
    last: Option<DeliveryFailure>,
    /// Why what was left could not be kept for later, if that failed.
    not_kept: Option<&'static str>,
    /// After a failure, until when the endpoint is not tried between two steps.
    pub(super) paused_until: Option<Instant>,
    /// Until when the endpoint asked to be left alone.
    pub(super) asked_until: Option<Asked>,
    /// What was put away between two steps.
    pub(super) steps: StepParcels,
}

/// When an endpoint wants to hear more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) until: Instant,
    /// The same for other workers.
    pub(super) at: OffsetDateTime,
}

impl Account {
    /// The endpoint has them.
    pub(super) fn accept(&mut self, spans: u64, warning: Option<String>) {
        self.counts.exported += spans;
        (self.paused_until, self.asked_until) = (None, None);
        if let Some(warning) = warning {
            self.counts.warn(warning);
        }
    }

    /// They are never sent again.
    pub(super) fn refuse(&mut self, error: &ExportError, spans: u64) {
        error.reason().blame(&mut self.counts.failures, spans);
        if error.is_refusal() {
            self.counts.rejected += spans;
        } else {
            self.counts.undelivered += spans;
        }
    }

    /// They are kept for later, because the last attempt failed.
    pub(super) fn keep(&mut self, spans: u64) {
        self.counts.spooled += spans;
        self.not_kept = None;
        self.why_left().blame(&mut self.counts.failures, spans);
    }

    /// Remembers why an attempt failed, and whether the endpoint asked for a pause. True if it is the first that did.
    pub(super) fn attempt_failed(&mut self, error: &ExportError, pause: Duration) -> bool {
        let asked = error.retry_after();
        let now = Instant::now();
        self.paused_until = Some(now + asked.unwrap_or_default().max(pause));
        self.asked_until =
            asked.map(|asked| Asked { until: now + asked, at: OffsetDateTime::now_utc() + asked });
        self.last.replace(error.reason()).is_none()
    }

    /// An attempt was cut off for a reason that is not the endpoint's; what that said before says more.
    pub(super) fn cut_off(&mut self, failure: DeliveryFailure) {
        self.last.get_or_insert(failure);
    }

    /// Nobody knows whether they are kept for later.
    pub(super) fn doubt(&mut self, spans: u64) {
        self.in_doubt += spans;
        let text = "time ran out while the spans were being kept for later; they may be sent all the same";
        failure(DeliveryFailureKind::Spool, text.to_owned()).blame(&mut self.counts.failures, spans);
    }

    /// What is left could not be kept for later; true if that is news.
    pub(super) fn not_kept(&mut self, why: &'static str) -> bool {
        self.not_kept.replace(why).is_none()
    }

    /// There are no more attempts for these.
    pub(super) fn give_up(&mut self, failure: DeliveryFailure, spans: u64) {
        self.counts.undelivered += spans;
        failure.blame(&mut self.counts.failures, spans);
    }

    /// There are no more attempts for what is left.
    pub(super) fn give_up_rest(&mut self, spans: u64) {
        let mut failure = self.why_left();
        if let Some(why) = self.not_kept {
            failure.kind = DeliveryFailureKind::Spool;
            failure.message = format!("the spans could not be kept for later, {why}; {}", failure.message);
        }
        self.give_up(failure, spans);
    }

    fn why_left(&self) -> DeliveryFailure {
        self.last.clone().unwrap_or_else(|| {
            failure(DeliveryFailureKind::Deadline, "no time was left to send the spans".to_owned())
        })
    }

    /// What became of spans so far, of `made`.
    pub(super) fn counts(&self, made: u64) -> SpanCounts {
        SpanCounts { made, ..self.counts.clone() }
    }

    /// The end of the account. Whatever nobody has taken is undelivered, unless that is in doubt.
    pub(super) fn close(&mut self, made: u64) -> SpanCounts {
        let counts = self.counts(made);
        let lost = counts.unconfirmed().saturating_sub(self.in_doubt);
        SpanCounts { undelivered: counts.undelivered + lost, ..counts }
    }
}

/// A reason that is not the endpoint's.
pub(super) fn failure(kind: DeliveryFailureKind, message: String) -> DeliveryFailure {
    DeliveryFailure { kind, status: None, message, spans: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::MAX_DELIVERY_FAILURES;

    /// No pause of its own.
    const NONE: Duration = Duration::ZERO;

    fn status(status: u16) -> ExportError {
        ExportError::Status { url: "u".into(), status, body: String::new(), retry_after: None }
    }

    #[test]
    fn one_reason_is_told_once_with_all_its_spans_and_the_list_ends() {
        let mut account = Account::default();
        for given in [401, 401, 402] {
            account.refuse(&status(given), 2);
        }
        account.refuse(&status(500), 0);
        for given in 600..620 {
            account.refuse(&status(given), 1);
        }
        let counts = account.close(30);
        assert_eq!((counts.failures[0].spans, counts.failures[1].spans), (4, 2));
        assert_eq!(counts.failures.len(), MAX_DELIVERY_FAILURES);
        assert_eq!(counts.failures.iter().map(|f| f.spans).sum::<u64>(), 26);
        assert_eq!((counts.rejected, counts.undelivered), (26, 4));
    }

    #[test]
    fn what_the_endpoint_said_is_the_reason_and_not_that_time_ran_out_later() {
        let mut account = Account::default();
        assert!(account.attempt_failed(&status(503), NONE));
        account.cut_off(failure(DeliveryFailureKind::WorkerStops, "stopped".into()));
        account.give_up_rest(3);
        assert_eq!(account.close(3).failures[0].status, Some(503));
        let mut account = Account::default();
        account.give_up_rest(1);
        assert_eq!(account.close(1).failures[0].kind, DeliveryFailureKind::Deadline);
    }

    #[test]
    fn spans_that_are_refused_a_place_are_told_of_once_with_both_reasons() {
        let mut account = Account::default();
        account.attempt_failed(&status(503), NONE);
        assert!(account.not_kept("no room"));
        assert!(!account.not_kept("no room"));
        account.give_up_rest(7);
        let counts = account.close(7);
        let [only] = counts.failures.as_slice() else { panic!("{:?}", counts.failures) };
        assert_eq!((only.kind, only.status, only.spans), (DeliveryFailureKind::Spool, Some(503), 7));
        assert!(
            only.message.contains("no room") && only.message.contains("answered 503"),
            "{}",
            only.message
        );
    }

    #[test]
    fn requests_of_which_spans_were_rejected_are_one_reason_without_a_number_of_its_own() {
        let mut account = Account::default();
        for rejected in [4, 1] {
            let error = ExportError::Partial { url: "u".into(), rejected, message: "bad".into() };
            account.refuse(&error, rejected);
        }
        let counts = account.close(5);
        assert_eq!(
            (counts.failures[0].spans, counts.failures[0].message.as_str()),
            (5, "u rejected spans: bad")
        );
    }

    #[test]
    fn an_endpoint_that_takes_spans_again_is_not_left_alone_any_more() {
        let mut account = Account::default();
        let (url, body, retry_after) = ("u".into(), String::new(), Some(Duration::from_mins(5)));
        account.attempt_failed(&ExportError::Status { url, status: 429, body, retry_after }, NONE);
        assert!(account.asked_until.is_some() && account.paused_until.is_some());
        account.accept(1, Some("old schema".into()));
        account.accept(1, Some("old schema".into()));
        assert!(account.asked_until.is_none() && account.paused_until.is_none());
        assert_eq!(account.close(2).warnings, ["old schema"]);
    }
}
