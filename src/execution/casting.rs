//! Who plays: the models and the target of a run, or the recording of them.

use std::sync::Arc;

use super::cassette::{Tape, judge_lane};
use super::failure::{PlanError, RunFailure, code};
use super::planner::Planner;
use super::ports::{ChatModel, TargetAdapter, TargetQuestions, TargetSpec};
use super::types::{Brief, ModelName};
use crate::events::ProjectId;

/// The customer on a cassette.
const CUSTOMER_LANE: &str = "the customer";

/// Everybody who is asked in a run.
pub(super) struct Cast {
    /// Plays the customer.
    pub(super) user_simulator: Arc<dyn ChatModel>,
    /// Decide the criteria; at least one.
    pub(super) judges: Vec<Arc<dyn ChatModel>>,
    /// The agent under test.
    pub(super) target: Box<dyn TargetAdapter>,
}

impl Planner {
    /// Finds everybody whom `brief` names. Where a cassette is replayed, nobody has to be there.
    pub(super) async fn cast(
        &self,
        project: &ProjectId,
        brief: &Brief,
        target: TargetSpec,
        tape: Option<&Tape>,
    ) -> Result<Cast, PlanError> {
        let user_simulator = self.model(project, &brief.user_simulator, CUSTOMER_LANE, tape).await?;
        let judges = self.judges(project, brief, tape).await?;
        Ok(Cast { user_simulator, judges, target: self.target(target, tape).await? })
    }

    /// The judges alone.
    pub(super) async fn judges(
        &self,
        project: &ProjectId,
        brief: &Brief,
        tape: Option<&Tape>,
    ) -> Result<Vec<Arc<dyn ChatModel>>, PlanError> {
        let mut judges = Vec::new();
        for (seat, name) in brief.judges.names().iter().enumerate() {
            judges.push(self.model(project, name, &judge_lane(seat), tape).await?);
        }
        Ok(judges)
    }

    async fn model(
        &self,
        project: &ProjectId,
        name: &str,
        lane: &str,
        tape: Option<&Tape>,
    ) -> Result<Arc<dyn ChatModel>, PlanError> {
        let Some(tape) = tape else { return self.models.model(project, name).await };
        if !tape.replays() {
            return Ok(tape.model(lane, self.models.model(project, name).await?));
        }
        let name = ModelName::parse(name)
            .map_err(|error| RunFailure::definition(code::INVALID_MODEL_FORMAT, error.to_string()))?;
        let server = self.models.server(project, &name).await?;
        Ok(tape.replayed_model(lane, name, server))
    }

    async fn target(
        &self,
        spec: TargetSpec,
        tape: Option<&Tape>,
    ) -> Result<Box<dyn TargetAdapter>, PlanError> {
        match tape {
            None => self.targets.adapter(spec).await,
            Some(tape) if tape.replays() => Ok(tape.replayed_target(self.questions(spec).await?)),
            Some(tape) => Ok(tape.target(self.targets.adapter(spec).await?)),
        }
    }

    /// A replay goes without a target that is not there any more, or does not work any more: then only what it hears is
    /// compared with the recording.
    async fn questions(&self, spec: TargetSpec) -> Result<Option<Box<dyn TargetQuestions>>, PlanError> {
        match self.targets.questions(spec).await {
            Err(PlanError::Failure(_)) => Ok(None),
            questions => questions,
        }
    }
}
