//! The course of a rehearsal, step by step.

mod written;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::written::WrittenStep;
use super::Check;
use crate::events::MessageRole;

/// Names of the steps, for whoever misspells one.
const STEPS: &str = "user, agent, message, judge, proceed, check, succeed, fail";

/// One step of a script. In a file it is its name, or its name with what belongs to it: `user`, `user: "Hello"`,
/// `proceed: 2`, `judge: { criteria: […] }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Value", into = "Value")]
#[schemars(with = "WrittenStep")]
pub enum ScriptStep {
    /// The customer says this, or whatever the simulator comes up with.
    User(Option<String>),
    /// The agent is asked, or is taken to have said this.
    Agent(Option<String>),
    /// Somebody is taken to have said this.
    Message(ScriptMessage),
    /// The judge decides: these criteria, and the script goes on if they are met; or, without any, the scenario's, for good.
    Judge(JudgeStep),
    /// The conversation goes on by itself.
    Proceed(ProceedStep),
    /// The script goes on only if this holds.
    Check(Check),
    /// The run has passed.
    Succeed(Option<String>),
    /// The run has failed.
    Fail(Option<String>),
}

/// A message that nobody is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptMessage {
    /// Who is taken to have said it.
    pub role: MessageRole,
    /// What.
    pub content: String,
}

/// What the judge is asked in the middle of a script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JudgeStep {
    /// The criteria of this step; the scenario's where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<String>,
    /// What the judge should know beside the transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// How far the conversation goes on by itself: to its end where nothing says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProceedStep {
    /// For this many turns at most; the rest of a turn that has begun is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// Until this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Check>,
}

impl TryFrom<Value> for ScriptStep {
    type Error = String;

    fn try_from(step: Value) -> Result<Self, String> {
        match step {
            Value::String(name) => Self::named(&name, Value::Null),
            Value::Object(step) if step.len() == 1 => {
                let mut entries = step.into_iter();
                entries.next().map_or(Err(no_step()), |(name, content)| Self::named(&name, content))
            }
            _ => Err(no_step()),
        }
    }
}

fn no_step() -> String {
    format!("a step is one of {STEPS}, or a mapping with one of them as its only key")
}

impl ScriptStep {
    fn named(name: &str, content: Value) -> Result<Self, String> {
        match name {
            "user" => words(name, content).map(Self::User),
            "agent" => words(name, content).map(Self::Agent),
            "succeed" => words(name, content).map(Self::Succeed),
            "fail" => words(name, content).map(Self::Fail),
            "message" => read(name, content).map(Self::Message),
            "check" => read(name, content).map(Self::Check),
            "judge" => read(name, mapping(content)).map(Self::Judge),
            "proceed" if content.is_u64() => proceed(content),
            "proceed" => read(name, mapping(content)).map(Self::Proceed),
            other => Err(format!("unknown step `{other}`, expected one of {STEPS}")),
        }
    }
}

fn proceed(turns: Value) -> Result<ScriptStep, String> {
    let turns = Some(read("proceed", turns)?);
    Ok(ScriptStep::Proceed(ProceedStep { turns, until: None }))
}

fn words(name: &str, content: Value) -> Result<Option<String>, String> {
    read(name, content)
}

/// A step without anything is one with nothing in it.
fn mapping(content: Value) -> Value {
    if content.is_null() { Value::Object(Map::new()) } else { content }
}

fn read<T: serde::de::DeserializeOwned>(name: &str, content: Value) -> Result<T, String> {
    serde_json::from_value(content).map_err(|error| format!("the step `{name}`: {error}"))
}

impl From<ScriptStep> for Value {
    fn from(step: ScriptStep) -> Self {
        let (name, content) = match step {
            ScriptStep::User(words) => ("user", written(words)),
            ScriptStep::Agent(words) => ("agent", written(words)),
            ScriptStep::Message(message) => ("message", written(message)),
            ScriptStep::Judge(judge) => ("judge", written(judge)),
            ScriptStep::Proceed(proceed) => ("proceed", written(proceed)),
            ScriptStep::Check(check) => ("check", written(check)),
            ScriptStep::Succeed(reason) => ("succeed", written(reason)),
            ScriptStep::Fail(reason) => ("fail", written(reason)),
        };
        Self::Object(Map::from_iter([(name.to_owned(), content)]))
    }
}

/// Plain data of this room: it can always be written.
fn written(content: impl Serialize) -> Value {
    serde_json::to_value(content).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_is_its_name_or_its_name_with_what_belongs_to_it() {
        let script = json!([
            "user",
            { "user": "My mug broke" },
            "agent",
            { "message": { "role": "tool", "content": "{}" } },
            { "judge": { "criteria": ["The agent apologises"] } },
            { "proceed": 2 },
            "proceed",
            "judge",
            { "fail": "too late" },
        ]);
        let steps: Vec<ScriptStep> = serde_json::from_value(script).unwrap();
        assert_eq!(steps[0], ScriptStep::User(None));
        assert_eq!(steps[1], ScriptStep::User(Some("My mug broke".into())));
        assert_eq!(steps[5], ScriptStep::Proceed(ProceedStep { turns: Some(2), until: None }));
        assert_eq!(steps[7], ScriptStep::Judge(JudgeStep::default()));
        let again: Vec<ScriptStep> = serde_json::from_value(serde_json::to_value(&steps).unwrap()).unwrap();
        assert_eq!(again, steps, "what is stored is what was read");
    }

    #[test]
    fn a_step_that_is_none_says_what_there_is() {
        let error = |step: Value| serde_json::from_value::<ScriptStep>(step).unwrap_err().to_string();
        assert!(error(json!("usr")).contains("unknown step `usr`, expected one of user, agent"));
        assert!(error(json!({ "user": 5 })).contains("the step `user`"));
        assert!(error(json!({ "user": "a", "agent": "b" })).contains("its only key"));
        assert!(error(json!({ "judge": { "criterion": "x" } })).contains("criterion"));
    }
}
