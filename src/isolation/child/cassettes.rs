//! The run's cassette, which the worker keeps. It knows which one that is.

use async_trait::async_trait;

use super::line::Line;
use crate::events::{ProjectId, RunId};
use crate::execution::cassette::{CassetteKey, CassetteLibrary, Exchange, Place, Recording};
use crate::execution::failure::Unavailable;
use crate::isolation::frames::{Answer, Call};

const ASKING: &str = "asking the worker for the run's cassette";

/// Asks the worker for the run's cassette.
pub struct PipeCassettes(pub Line);

#[async_trait]
impl CassetteLibrary for PipeCassettes {
    async fn recording(&self, _: &CassetteKey) -> Result<Option<Recording>, Unavailable> {
        match self.0.ask(Call::Recording).await {
            Answer::Recording(recording) => Ok(recording),
            other => Err(other.into_unavailable(ASKING)),
        }
    }

    async fn publish(&self, _: &CassetteKey, recording: &Recording) -> Result<(), Unavailable> {
        match self.0.ask(Call::Publish(recording.calls.clone())).await {
            Answer::Done => Ok(()),
            other => Err(other.into_unavailable(ASKING)),
        }
    }

    async fn keep(
        &self,
        _: &ProjectId,
        _: &RunId,
        place: &Place,
        exchange: &Exchange,
    ) -> Result<(), Unavailable> {
        match self.0.ask(Call::Keep(place.clone(), Box::new(exchange.clone()))).await {
            Answer::Done => Ok(()),
            other => Err(other.into_unavailable(ASKING)),
        }
    }

    async fn recall(&self, _: &ProjectId, _: &RunId, place: &Place) -> Result<Option<Exchange>, Unavailable> {
        match self.0.ask(Call::Recall(place.clone())).await {
            Answer::Exchange(exchange) => Ok(exchange.map(|exchange| *exchange)),
            other => Err(other.into_unavailable(ASKING)),
        }
    }
}
