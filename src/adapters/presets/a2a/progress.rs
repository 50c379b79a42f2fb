//! What is known of the agent's answer so far, whichever version tells it.

use serde::Deserialize;
use serde_json::Value;

/// What the agent's answer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is still at work.
    Working,
    /// It is done.
    Said(String),
    /// It wants to hear more before it goes on.
    Asks(String),
    /// It failed, and says so.
    Failed(String),
    /// Nobody knows what its state means.
    Unknown(String),
}

/// The agent's answer so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) context: Option<String>,
    pub(super) task: Option<String>,
    /// The task's state as 0.3 writes it.
    pub(super) state: Option<String>,
    /// A message instead of a task.
    message: Option<String>,
    /// What the task's status says.
    status: String,
    /// Results by their ids, in order.
    artifacts: Vec<(String, String)>,
    /// The agent's last message in the task's history.
    history: String,
}

/// A task, a message, or news of a task: 0.3 tells them apart by `kind`, 1.0 by the name around them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    context_id: Option<String>,
    task_id: Option<String>,
    id: Option<String>,
    status: Option<Status>,
    artifact: Option<Artifact>,
    append: Option<bool>,
    artifacts: Option<Vec<Artifact>>,
    history: Option<Vec<Message>>,
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Status {
    state: String,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    role: Option<String>,
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    artifact_id: Option<String>,
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    data: Option<Value>,
}

/// The names that 1.0 puts around what it tells, its drafts' included.
const WRAPPERS: [&str; 6] =
    ["task", "message", "statusUpdate", "artifactUpdate", "taskStatusUpdate", "taskArtifactUpdate"];

impl Progress {
    /// Takes in one result.
    pub(super) fn take(&mut self, result: Value) -> Result<(), String> {
        let mut told = Told::deserialize(unwrapped(result)).map_err(|error| error.to_string())?;
        self.context = told.context_id.take().or(self.context.take());
        if let Some(parts) = told.parts.take() {
            self.message = Some(text(&parts));
            return Ok(());
        }
        if let Some(artifact) = told.artifact.take() {
            self.task = told.task_id.or(self.task.take());
            self.add(artifact, told.append.unwrap_or_default());
            return Ok(());
        }
        self.take_task(told)
    }

    /// A task, or news of its status.
    fn take_task(&mut self, told: Told) -> Result<(), String> {
        let status = told.status.ok_or("it is neither a message nor a task")?;
        self.task = told.task_id.or(told.id).or(self.task.take());
        self.state = Some(plain(&status.state));
        self.status = status.message.map(|message| words_of(&message)).unwrap_or_default();
        for artifact in told.artifacts.into_iter().flatten() {
            self.add(artifact, false);
        }
        let by_agent = told.history.into_iter().flatten().rfind(|message| !is_user(message));
        if let Some(message) = by_agent {
            self.history = words_of(&message);
        }
        Ok(())
    }

    fn add(&mut self, artifact: Artifact, append: bool) {
        let id = artifact.artifact_id.unwrap_or_default();
        let said = text(&artifact.parts.unwrap_or_default());
        match self.artifacts.iter_mut().find(|(known, _)| *known == id) {
            Some((_, text)) if append => text.push_str(&said),
            Some((_, text)) => *text = said,
            None => self.artifacts.push((id, said)),
        }
    }

    /// Whether more has to be heard.
    pub(super) fn is_open(&self) -> bool {
        self.outcome() == Outcome::Working
    }

    /// What it comes to.
    pub(super) fn outcome(&self) -> Outcome {
        if let Some(message) = &self.message {
            return Outcome::Said(message.clone());
        }
        match self.state.as_deref() {
            None | Some("submitted" | "working") => Outcome::Working,
            Some("completed") => {
                Outcome::Said(Self::first_of([&self.results(), &self.status, &self.history]))
            }
            Some("input-required") => {
                Outcome::Asks(Self::first_of([&self.status, &self.results(), &self.history]))
            }
            Some(state @ ("failed" | "rejected" | "canceled" | "cancelled" | "auth-required")) => {
                let words =
                    if self.status.is_empty() { "it says no more".to_owned() } else { self.status.clone() };
                Outcome::Failed(format!("the task is {state}: {words}"))
            }
            Some(other) => Outcome::Unknown(other.to_owned()),
        }
    }

    fn results(&self) -> String {
        let texts = self.artifacts.iter().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join("\n")
    }

    fn first_of(texts: [&String; 3]) -> String {
        texts.into_iter().find(|text| !text.trim().is_empty()).cloned().unwrap_or_default()
    }
}

fn unwrapped(mut result: Value) -> Value {
    if result.get("kind").is_some() {
        return result;
    }
    let wrapped = WRAPPERS.iter().find(|name| result.get(**name).is_some_and(Value::is_object));
    match wrapped.and_then(|name| result.get_mut(*name)) {
        Some(inside) => inside.take(),
        None => result,
    }
}

/// `TASK_STATE_INPUT_REQUIRED` and `input-required` are the same.
fn plain(state: &str) -> String {
    state.trim_start_matches("TASK_STATE_").to_ascii_lowercase().replace('_', "-")
}

fn is_user(message: &Message) -> bool {
    message.role.as_deref().is_some_and(|role| role.to_ascii_lowercase().ends_with("user"))
}

fn words_of(message: &Message) -> String {
    text(message.parts.as_deref().unwrap_or_default())
}

/// Texts as they are, data as JSON; files say nothing to a conversation.
fn text(parts: &[Part]) -> String {
    let of_part = |part: &Part| part.text.clone().or_else(|| part.data.as_ref().map(Value::to_string));
    parts.iter().filter_map(of_part).collect::<Vec<_>>().join("\n")
}
