//! Values for the variables that a prompt declares.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::adapters::template::{BASE_NAMES, Variables, last_line};
use crate::definitions::{FieldMapping, Prompt, ScenarioField};
use crate::execution::ports::TargetTurn;
use crate::execution::types::Message;

/// The variable that holds the conversation as JSON.
const CONVERSATION_AS_JSON: &str = "messagesJson";
/// What people call the customer's line.
const LINE_NAMES: [&str; 9] = [
    "input",
    "message",
    "scenario_message",
    "query",
    "question",
    "prompt",
    "text",
    "user_message",
    "user_input",
];
/// What people call the conversation.
const CONVERSATION_NAMES: [&str; 6] =
    ["messages", "conversation_history", "history", "conversation", "chat_history", "context"];
/// What people call the conversation's id.
const THREAD_NAMES: [&str; 7] =
    ["threadid", "thread_id", "thread", "session_id", "sessionid", "session", "conversation_id"];

/// What a prompt's templates read in one turn.
pub(super) struct Bound {
    /// Their variables.
    pub(super) variables: Variables,
    /// Names of those that tell the conversation.
    pub(super) conversation: Vec<String>,
    /// Names of declared ones that nothing was found for; they show that.
    pub(super) unbound: Vec<String>,
}

/// Binds each input that the prompt declares: to what the prompt maps it to, to the fact or the parameter of its name,
/// to the fact that goes by such a name, else, if it is the only one left, to the customer's line.
pub(super) fn bind(prompt: &Prompt, parameters: &Map<String, Value>, turn: &TargetTurn<'_>) -> Bound {
    let mut bound = Bound::of_turn(turn, parameters);
    let left = bound.by_name(prompt, parameters);
    let left = bound.by_alias(prompt, left, turn);
    match left.as_slice() {
        [only] => bound.variables.bind(*only, last_line(turn)),
        several => several.iter().for_each(|input| bound.show_unbound(input)),
    }
    bound.mapped(prompt, turn);
    bound
}

impl Bound {
    fn of_turn(turn: &TargetTurn<'_>, parameters: &Map<String, Value>) -> Self {
        let mut variables = Variables::of_turn(turn, parameters);
        variables.bind(CONVERSATION_AS_JSON, as_json(turn.transcript));
        let told = BASE_NAMES.iter().filter(|(_, field)| *field == ScenarioField::Messages);
        let names = told.map(|(name, _)| *name).chain([CONVERSATION_AS_JSON]);
        Self { variables, conversation: names.map(str::to_owned).collect(), unbound: Vec::new() }
    }

    /// Answers the inputs that are left, each once.
    fn by_name<'a>(&mut self, prompt: &'a Prompt, parameters: &Map<String, Value>) -> Vec<&'a str> {
        let mut left: Vec<&str> = Vec::new();
        for input in prompt.inputs.iter().map(String::as_str) {
            let mapped = prompt.field_mappings.contains_key(input);
            if mapped || self.variables.has(input) || left.contains(&input) {
                continue;
            }
            match parameters.get(input) {
                Some(value) => self.variables.bind_json(input, value),
                None => left.push(input),
            }
        }
        left
    }

    /// Each fact goes to one input. Answers the inputs that are left.
    fn by_alias<'a>(&mut self, prompt: &Prompt, left: Vec<&'a str>, turn: &TargetTurn<'_>) -> Vec<&'a str> {
        let declared = |name: &str| {
            prompt.inputs.iter().any(|input| input == name) && !prompt.field_mappings.contains_key(name)
        };
        let used = BASE_NAMES.iter().filter(|(name, _)| declared(name)).map(|(_, field)| *field);
        let (mut used, mut unmatched): (Vec<ScenarioField>, Vec<&str>) = (used.collect(), Vec::new());
        for input in left {
            match field_called(input).filter(|field| !used.contains(field)) {
                Some(field) => {
                    used.push(field);
                    self.stands_for(input, field, turn);
                }
                None => unmatched.push(input),
            }
        }
        unmatched
    }

    fn stands_for(&mut self, name: &str, field: ScenarioField, turn: &TargetTurn<'_>) {
        self.variables.bind_field(name, field, turn);
        if field == ScenarioField::Messages {
            self.conversation.push(name.to_owned());
        }
    }

    fn show_unbound(&mut self, input: &str) {
        self.variables.bind(input, format!("[unbound input: {input}]"));
        self.unbound.push(input.to_owned());
    }

    /// Mappings win over everything.
    fn mapped(&mut self, prompt: &Prompt, turn: &TargetTurn<'_>) {
        self.variables.bind_mapped(&prompt.field_mappings, turn);
        self.conversation.retain(|name| !prompt.field_mappings.contains_key(name));
        let told = prompt.field_mappings.iter().filter(|(_, mapping)| tells_conversation(mapping));
        self.conversation.extend(told.map(|(name, _)| name.clone()));
    }
}

fn tells_conversation(mapping: &FieldMapping) -> bool {
    matches!(mapping, FieldMapping::Source { path: [ScenarioField::Messages], .. })
}

/// The fact that goes by the name `input`, letter case aside.
fn field_called(input: &str) -> Option<ScenarioField> {
    let name = input.to_lowercase();
    let known = [
        (LINE_NAMES.as_slice(), ScenarioField::Input),
        (CONVERSATION_NAMES.as_slice(), ScenarioField::Messages),
        (THREAD_NAMES.as_slice(), ScenarioField::ThreadId),
    ];
    known.into_iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, field)| field)
}

fn as_json(transcript: &Arc<[Message]>) -> String {
    let message = |message: &Message| json!({ "role": message.role, "content": message.content });
    transcript.iter().map(message).collect::<Value>().to_string()
}
