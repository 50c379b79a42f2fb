//! How long calls to models and targets take, and how they end, for whoever counts.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A model, for whichever role.
    Model,
    /// The agent under test.
    Target,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEnd {
    /// With an answer.
    Answered,
    /// With a failure.
    Failed,
    /// It was given up: the run was cancelled, took too long, or is another worker's.
    Dropped,
}

/// Counts calls.
pub trait CallMeter: Send + Sync {
    /// A call ended after `took`, its retries and its waits for limits included.
    fn called(&self, kind: CallKind, end: CallEnd, took: Duration);
}

/// A call under way. Dropped before its end, it counts as such.
pub struct Call<'a> {
    meter: &'a dyn CallMeter,
    kind: CallKind,
    begun: Instant,
    end: CallEnd,
}

impl<'a> Call<'a> {
    /// A call begins.
    #[must_use]
    pub fn begin(meter: &'a dyn CallMeter, kind: CallKind) -> Self {
        Self { meter, kind, begun: Instant::now(), end: CallEnd::Dropped }
    }

    /// It ended.
    pub fn end<T, E>(mut self, result: &Result<T, E>) {
        self.end = if result.is_ok() { CallEnd::Answered } else { CallEnd::Failed };
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.meter.called(self.kind, self.end, self.begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Ends(Mutex<Vec<CallEnd>>);

    impl CallMeter for Ends {
        fn called(&self, _: CallKind, end: CallEnd, _: Duration) {
            self.0.lock().unwrap().push(end);
        }
    }

    #[test]
    fn every_call_is_counted_once_however_it_ends() {
        let ends = Ends::default();
        Call::begin(&ends, CallKind::Model).end(&Ok::<_, ()>(()));
        Call::begin(&ends, CallKind::Model).end(&Err::<(), _>(()));
        drop(Call::begin(&ends, CallKind::Target));
        assert_eq!(*ends.0.lock().unwrap(), [CallEnd::Answered, CallEnd::Failed, CallEnd::Dropped]);
    }
}
