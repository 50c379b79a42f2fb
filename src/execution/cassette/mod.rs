//! Cassettes: everything that a run said to others and heard from them, kept, so that it can be heard again without asking.
//!
//! A recording is made call by call, because a run may change its worker. It becomes the cassette only when the run is
//! over: half a recording is never replayed, and replaces no whole one.

mod difference;
mod model;
mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::failure::{PlanError, RunFailure, Unavailable, code};
use super::ports::{ChatModel, TargetAdapter, TargetQuestions};
use super::types::{Ending, Heard, ModelName, ModelServer};
use crate::events::{Attribution, CassetteMode, CassetteRequest, ProjectId, RunError, RunId, RunRequest};
use crate::text::chain;
use difference::difference;
use model::TapedModel;
use target::{TapedTarget, comparable};

pub use model::model_call;

/// What to do about a cassette that does not fit.
const RECORD_ANEW: &str =
    "If the change is meant, record the cassette anew: schedule the run with `cassette: record`.";

/// How many calls there were on each lane: by the customer, the target, each judge.
pub type CallCounts = BTreeMap<String, u32>;

/// A cassette of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CassetteKey {
    /// The project.
    pub project: ProjectId,
    /// Its name there.
    pub name: String,
}

impl CassetteKey {
    /// The cassette that `request` asks for with `asked`.
    #[must_use]
    pub fn of(request: &RunRequest, asked: &CassetteRequest) -> Self {
        let name = asked.name.as_ref().map_or_else(|| default_name(request), ToString::to_string);
        Self { project: request.key.project.clone(), name }
    }
}

/// One call of a recording: who called, and the how many-th time that was, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Who called.
    pub lane: String,
    /// The call.
    pub number: u32,
}

/// One call and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What was asked.
    pub asked: Value,
    /// What came of it.
    pub answered: Answered,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// A reply, as the caller's port has it.
    Reply(Value),
    /// A failure.
    Failure {
        /// What it was.
        error: RunError,
        /// Whether the form of the request was refused.
        refused: bool,
    },
}

/// A finished recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The run that was recorded.
    pub run: RunId,
    /// Its calls.
    pub calls: CallCounts,
}

/// Keeps cassettes.
#[async_trait]
pub trait CassetteLibrary: Send + Sync {
    /// The recording that `cassette` holds, if it holds any.
    ///
    /// # Errors
    /// [`Unavailable`] if the library does not answer.
    async fn recording(&self, cassette: &CassetteKey) -> Result<Option<Recording>, Unavailable>;

    /// Lets `cassette` hold `recording` from now on, and forgets what it held before.
    ///
    /// # Errors
    /// [`Unavailable`] if the library does not answer.
    async fn publish(&self, cassette: &CassetteKey, recording: &Recording) -> Result<(), Unavailable>;

    /// Keeps one call of the recording of `run`.
    ///
    /// # Errors
    /// [`Unavailable`] if the library does not answer.
    async fn keep(
        &self,
        project: &ProjectId,
        run: &RunId,
        place: &Place,
        exchange: &Exchange,
    ) -> Result<(), Unavailable>;

    /// One call of the recording of `run`, if it has it.
    ///
    /// # Errors
    /// [`Unavailable`] if the library does not answer.
    async fn recall(
        &self,
        project: &ProjectId,
        run: &RunId,
        place: &Place,
    ) -> Result<Option<Exchange>, Unavailable>;
}

/// The cassette of one run: it stands between the run and everybody whom it asks.
#[derive(Clone)]
pub struct Tape {
    library: Arc<dyn CassetteLibrary>,
    cassette: CassetteKey,
    mode: CassetteMode,
    /// Whose recording it is.
    run: RunId,
    calls: Arc<Mutex<Calls>>,
}

/// How far a run is on its lanes.
#[derive(Debug, Default)]
struct Calls {
    made: CallCounts,
    /// How many there were on each lane whose calls do not count yet.
    held: CallCounts,
}

/// The lane of what was heard of the target's own spans.
const SPANS_LANE: &str = "the target's spans";

/// The lane of the judge in a seat of a panel, from 0.
pub(super) fn judge_lane(seat: usize) -> String {
    format!("judge {}", seat + 1)
}

impl Tape {
    /// The tape that `request` asks for; a run that began before goes on behind its `calls`.
    ///
    /// # Errors
    /// A failure if a cassette is to be replayed that holds nothing, or [`Unavailable`].
    pub async fn load(
        library: &Arc<dyn CassetteLibrary>,
        request: &RunRequest,
        calls: CallCounts,
    ) -> Result<Option<Self>, PlanError> {
        let Some(asked) = &request.cassette else { return Ok(None) };
        let cassette = CassetteKey::of(request, asked);
        let run = match asked.mode {
            CassetteMode::Record => request.key.run.clone(),
            CassetteMode::Replay => recorded_run(library.as_ref(), &cassette).await?,
        };
        let calls = Calls { made: calls, held: CallCounts::new() };
        let (library, calls) = (Arc::clone(library), Arc::new(Mutex::new(calls)));
        Ok(Some(Self { library, cassette, mode: asked.mode, run, calls }))
    }

    /// Whether nobody is to be asked.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.mode == CassetteMode::Replay
    }

    /// How many calls there were so far, those of lanes left out that are held.
    #[must_use]
    pub fn calls(&self) -> CallCounts {
        let calls = self.counts();
        let mut counted = calls.made.clone();
        counted.extend(calls.held.clone());
        counted.retain(|_, calls| *calls > 0);
        counted
    }

    /// From now on no call of `lane` counts until it is released: whoever goes on with the run will make them again.
    pub fn hold(&self, lane: String) {
        let mut calls = self.counts();
        let made = calls.made.get(&lane).copied().unwrap_or_default();
        calls.held.insert(lane, made);
    }

    /// What came of the calls of `lane` is kept, so they count.
    pub fn release(&self, lane: &str) {
        self.counts().held.remove(lane);
    }

    /// A model whose calls are put on this tape as those of `lane`.
    #[must_use]
    pub fn model(&self, lane: impl Into<String>, behind: Arc<dyn ChatModel>) -> Arc<dyn ChatModel> {
        Arc::new(TapedModel::recorded(self.clone(), lane.into(), behind))
    }

    /// The recording of a model with the calls of `lane`. Nobody is behind it; `server` is who was.
    #[must_use]
    pub fn replayed_model(
        &self,
        lane: impl Into<String>,
        name: ModelName,
        server: Option<ModelServer>,
    ) -> Arc<dyn ChatModel> {
        Arc::new(TapedModel::replayed(self.clone(), lane.into(), name, server))
    }

    /// A target whose calls are on this tape.
    #[must_use]
    pub fn target(&self, behind: Box<dyn TargetAdapter>) -> Box<dyn TargetAdapter> {
        Box::new(TapedTarget::recorded(self.clone(), behind))
    }

    /// The recording of a target, with nobody behind it but who knows what would be asked now.
    #[must_use]
    pub fn replayed_target(&self, questions: Option<Box<dyn TargetQuestions>>) -> Box<dyn TargetAdapter> {
        Box::new(TapedTarget::replayed(self.clone(), questions))
    }

    /// The run is over as `ending`: what it recorded is the cassette now, if it can be heard to its end. A run that failed
    /// can, but replaces no other recording; one that was cancelled cannot.
    ///
    /// # Errors
    /// [`Unavailable`] if the library does not answer.
    pub async fn finish(&self, ending: &Ending) -> Result<(), Unavailable> {
        let is_kept = !self.replays()
            && match ending {
                Ending::Judged(_) => true,
                Ending::Failed(_) => self.holds_no_other().await?,
                Ending::Cancelled(_) => false,
            };
        if !is_kept {
            return Ok(());
        }
        let recording = Recording { run: self.run.clone(), calls: self.counts().made.clone() };
        self.library.publish(&self.cassette, &recording).await
    }

    async fn holds_no_other(&self) -> Result<bool, Unavailable> {
        let held = self.library.recording(&self.cassette).await?;
        Ok(held.is_none_or(|recording| recording.run == self.run))
    }

    /// What is answered on `lane` to `asked`: what the recording says, or what `ask` comes to, which is kept.
    async fn exchange<T>(
        &self,
        lane: &str,
        asked: Value,
        ask: Option<impl Future<Output = Result<T, RunFailure>>>,
    ) -> Result<T, RunFailure>
    where
        T: Serialize + for<'de> Deserialize<'de>,
    {
        let place =
            Place { lane: lane.to_owned(), number: self.counts().made.get(lane).copied().unwrap_or(0) };
        let result = match ask {
            None => self.recall(&place, &asked).await,
            Some(ask) => {
                let result = ask.await;
                self.keep(&place, asked, &result).await?;
                result
            }
        };
        // Counted when it is over: a call that was under way when its worker was lost is made again, in its place.
        *self.counts().made.entry(place.lane).or_default() += 1;
        result
    }

    /// What comes of `ask`, of which only a failure is kept: what it brings is no business of a recording.
    async fn attempt<T>(
        &self,
        lane: &str,
        asked: Value,
        ask: Option<impl Future<Output = Result<T, RunFailure>>>,
    ) -> Result<Option<T>, RunFailure> {
        let place = Place { lane: lane.to_owned(), number: 0 };
        let Some(ask) = ask else { return self.recall_failure(&place).await.map(|()| None) };
        let failure = match ask.await {
            Ok(brought) => return Ok(Some(brought)),
            Err(failure) => failure,
        };
        self.keep::<()>(&place, asked, &Err(failure.clone())).await?;
        self.counts().made.insert(place.lane, 1);
        Err(failure)
    }

    /// What was heard of the work behind the message `index`: what the recording says of it, or what `hear` comes to, which
    /// is kept. A recording of a run for which nobody listened says nothing.
    ///
    /// # Errors
    /// [`RunFailure`] if the library does not answer.
    pub async fn heard(&self, index: u32, hear: impl Future<Output = Heard>) -> Result<Heard, RunFailure> {
        let place = Place { lane: SPANS_LANE.to_owned(), number: index };
        if self.replays() {
            let recalled = self.library.recall(&self.cassette.project, &self.run, &place).await;
            return match recalled.map_err(|error| self.broken(&place, &error))?.map(|found| found.answered) {
                Some(Answered::Reply(heard)) => {
                    serde_json::from_value(heard).map_err(|error| self.broken(&place, &error))
                }
                Some(Answered::Failure { .. }) | None => Ok(Heard::default()),
            };
        }
        let heard = hear.await;
        self.keep(&place, json!({ "message": index }), &Ok(&heard)).await?;
        let mut calls = self.counts();
        let counted = calls.made.entry(place.lane).or_default();
        *counted = (*counted).max(index + 1);
        Ok(heard)
    }

    async fn recall_failure(&self, place: &Place) -> Result<(), RunFailure> {
        let recalled = self.library.recall(&self.cassette.project, &self.run, place).await;
        let exchange = recalled.map_err(|error| self.broken(place, &error))?;
        match exchange.map(|exchange| exchange.answered) {
            Some(Answered::Failure { error, refused }) => Err(RunFailure { refused, ..error.into() }),
            Some(Answered::Reply(_)) | None => Ok(()),
        }
    }

    async fn keep<T: Serialize>(
        &self,
        place: &Place,
        asked: Value,
        result: &Result<T, RunFailure>,
    ) -> Result<(), RunFailure> {
        let answered = match result {
            Ok(reply) => {
                Answered::Reply(serde_json::to_value(reply).map_err(|error| self.broken(place, &error))?)
            }
            Err(failure) => Answered::Failure { error: failure.to_error(), refused: failure.refused },
        };
        let exchange = Exchange { asked, answered };
        let kept = self.library.keep(&self.cassette.project, &self.run, place, &exchange).await;
        kept.map_err(|error| self.broken(place, &error))
    }

    async fn recall<T: for<'de> Deserialize<'de>>(
        &self,
        place: &Place,
        asked: &Value,
    ) -> Result<T, RunFailure> {
        let recalled = self.library.recall(&self.cassette.project, &self.run, place).await;
        let exchange = recalled.map_err(|error| self.broken(place, &error))?;
        let Some(exchange) = exchange else { return Err(self.too_short(place)) };
        let (recorded, asked) = comparable(&exchange.asked, asked);
        if recorded != asked {
            return Err(self.differs(place, &recorded, &asked));
        }
        match exchange.answered {
            Answered::Reply(reply) => {
                serde_json::from_value(reply).map_err(|error| self.broken(place, &error))
            }
            Answered::Failure { error, refused } => Err(RunFailure { refused, ..error.into() }),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Calls> {
        // Every change leaves the counts whole.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_short(&self, Place { lane, number }: &Place) -> RunFailure {
        let (name, call) = (&self.cassette.name, number + 1);
        let message = format!(
            "Cassette '{name}' has no call {call} of {lane}: the run went on where the recorded one ended"
        );
        RunFailure::definition(code::CASSETTE_DIFFERS, message).with_hint(RECORD_ANEW)
    }

    fn differs(&self, Place { lane, number }: &Place, recorded: &Value, asked: &Value) -> RunFailure {
        let (name, call) = (&self.cassette.name, number + 1);
        let message = format!(
            "Cassette '{name}' is of another conversation: call {call} of {lane} differs {}",
            difference(recorded, asked)
        );
        RunFailure::definition(code::CASSETTE_DIFFERS, message).with_hint(RECORD_ANEW)
    }

    fn broken(&self, place: &Place, error: &dyn std::error::Error) -> RunFailure {
        let (name, Place { lane, number }) = (&self.cassette.name, place);
        let message = format!(
            "Call {} of {lane} on cassette '{name}' cannot be kept or read: {}",
            number + 1,
            chain(error)
        );
        RunFailure::new(code::CASSETTE_BROKEN, Attribution::Worker, message)
    }
}

async fn recorded_run(library: &dyn CassetteLibrary, cassette: &CassetteKey) -> Result<RunId, PlanError> {
    if let Some(recording) = library.recording(cassette).await? {
        return Ok(recording.run);
    }
    let message = format!("Cassette '{}' holds no recording", cassette.name);
    Err(RunFailure::definition(code::CASSETTE_NOT_FOUND, message).with_hint(RECORD_FIRST).into())
}

/// What to do about a cassette that is not there.
const RECORD_FIRST: &str = "Schedule the run with `cassette: record` first, and let it end.";

/// The cassette of a request that names none: one for each scenario with each target.
fn default_name(request: &RunRequest) -> String {
    format!("{} {}:{}", request.scenario_id, request.target.kind, request.target.reference_id)
}

impl From<RunError> for RunFailure {
    fn from(error: RunError) -> Self {
        let RunError { code, message, hint, attributed_to } = error;
        Self { hint, ..Self::new(code, attributed_to, message) }
    }
}
