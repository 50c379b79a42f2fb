//! The shapes in which a step is written, for its schema only.

use schemars::JsonSchema;

use super::{JudgeStep, ProceedStep, ScriptMessage};
use crate::definitions::Check;
use crate::events::MAX_TURNS_LIMIT;

/// A name alone, or a name with what belongs to it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "steps are read by their name; this says what there is to be read")]
pub(super) enum WrittenStep {
    Alone(Alone),
    Full(Box<Full>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "steps are read by their name; this says what there is to be read")]
pub(super) enum Alone {
    /// The customer says whatever the simulator comes up with.
    User,
    /// The agent is asked.
    Agent,
    /// The judge decides the scenario's criteria, for good.
    Judge,
    /// The conversation goes on by itself, to its end.
    Proceed,
    /// The run has passed.
    Succeed,
    /// The run has failed.
    Fail,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "steps are read by their name; this says what there is to be read")]
pub(super) enum Full {
    /// The customer says this.
    User(Option<String>),
    /// The agent is taken to have said this.
    Agent(Option<String>),
    /// Somebody is taken to have said this.
    Message(ScriptMessage),
    /// The judge decides: these criteria, and the script goes on if they are met; or, without any, the scenario's, for good.
    Judge(Option<JudgeStep>),
    /// The conversation goes on by itself.
    Proceed(Proceed),
    /// The script goes on only if this holds.
    Check(Check),
    /// The run has passed, for this reason.
    Succeed(Option<String>),
    /// The run has failed, for this reason.
    Fail(Option<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "steps are read by their name; this says what there is to be read")]
pub(super) enum Proceed {
    /// For this many turns at most.
    Turns(#[schemars(range(min = 1, max = MAX_TURNS_LIMIT))] u32),
    /// For some turns at most, until something holds, or both.
    Described(Option<Box<ProceedStep>>),
}
