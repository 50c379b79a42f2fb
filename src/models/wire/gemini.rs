//! Google Gemini: `generateContent`.
//!
//! A schema is enforced by `responseJsonSchema`, a reasoning effort is `thinkingConfig.thinkingLevel`, which models older
//! than Gemini 3 refuse.
//!
//! Specification: <https://ai.google.dev/api/generate-content>.

use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::streams::{Hearing, Responses};
use super::tools::{answers_together, arguments_object};
use super::{
    UnexpectedAnswer, Wire, below, effort, instructions_and_talk, parse, secret_value, set_if_some, told,
    tool_call,
};
use crate::definitions::{ResponseFormat, ToolChoice};
use crate::events::TokenUsage;
use crate::execution::types::{
    AnswerForm, ChatMessage, ChatOptions, ChatReply, ChatRequest, ChatRole, SpecialTokens, ToolSpec,
};

/// Collections that a model's name may begin with; a bare name is of the first.
const COLLECTIONS: [&str; 2] = ["models", "tunedModels"];

/// What an answer is that has to be JSON.
const JSON: &str = "application/json";

/// The bits of a seed that the API takes: it is a signed number of 32 bits there.
const SEED_BITS: u64 = i32::MAX.cast_unsigned() as u64;

#[derive(Debug)]
pub(super) struct GenerateContent;

impl Wire for GenerateContent {
    fn vendor_base_url(&self) -> &'static str {
        "https://generativelanguage.googleapis.com/v1beta"
    }

    fn url(&self, base: Url, model: &str) -> Url {
        let (collection, model) = match model.split_once('/') {
            Some((collection, model)) if COLLECTIONS.contains(&collection) => (collection, model),
            _ => (COLLECTIONS[0], model),
        };
        below(base, &[collection, &format!("{model}:generateContent")])
    }

    /// The key travels in a header: in the query, where the API takes it too, it would reach logs of proxies.
    fn headers(&self, key: Option<&str>) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert("x-goog-api-key", secret_value(key)?);
        }
        Ok(headers)
    }

    fn body(&self, _url: &Url, _model: &str, request: &ChatRequest) -> Value {
        let (system, talk) = instructions_and_talk(&request.messages);
        let mut body = json!({ "contents": contents(talk) });
        let system = (!system.is_empty()).then(|| json!({ "parts": [{ "text": system }] }));
        set_if_some(&mut body, "systemInstruction", system);
        set_if_some(&mut body, "generationConfig", generation_config(request));
        if let AnswerForm::Tool(tool) = &request.form {
            body["tools"] = json!([{ "functionDeclarations": [declared(tool)] }]);
            body["toolConfig"] = json!({ "functionCallingConfig": { "mode": "ANY" } });
        }
        set_tools(&mut body, &request.options);
        body
    }

    fn stream_url(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_path(&url.path().replace(":generateContent", ":streamGenerateContent"));
        url.query_pairs_mut().append_pair("alt", "sse");
        url
    }

    fn hearing(&self) -> Box<dyn Hearing> {
        Box::new(Responses::default())
    }

    fn reply(&self, answer: Value) -> Result<ChatReply, UnexpectedAnswer> {
        let parts = answer.pointer("/candidates/0/content/parts").cloned();
        let special = special(&answer);
        let answer: Answer = parse(answer)?;
        let Some(candidate) = answer.candidates.into_iter().next() else {
            return Err(no_candidates(answer.prompt_feedback));
        };
        let mut reply = ChatReply {
            usage: answer.usage_metadata.unwrap_or_default().into(),
            special,
            model: answer.model_version,
            response_id: answer.response_id,
            finish_reason: candidate.finish_reason,
            ..ChatReply::default()
        };
        candidate.content.unwrap_or_default().parts.into_iter().for_each(|part| part.add_to(&mut reply));
        reply.verbatim = parts.filter(|_| !reply.tool_calls.is_empty());
        Ok(reply)
    }
}

fn no_candidates(feedback: Option<PromptFeedback>) -> UnexpectedAnswer {
    UnexpectedAnswer::Lacking(match feedback.and_then(|feedback| feedback.block_reason) {
        Some(reason) => format!("has no candidates: the prompt was blocked ({reason})"),
        None => "has no candidates".to_owned(),
    })
}

fn special(answer: &Value) -> SpecialTokens {
    SpecialTokens {
        cache_read: told(answer, "/usageMetadata/cachedContentTokenCount"),
        cache_creation: None,
        reasoning: told(answer, "/usageMetadata/thoughtsTokenCount"),
    }
}

/// What was said, with the answers of tools as what the counterpart says.
fn contents<'a>(talk: impl Iterator<Item = &'a ChatMessage>) -> Value {
    let content = |together: Vec<&ChatMessage>| {
        let is_model = together.iter().all(|message| message.role == ChatRole::Assistant);
        let parts: Vec<Value> = together.into_iter().flat_map(parts).collect();
        json!({ "role": if is_model { "model" } else { "user" }, "parts": parts })
    };
    answers_together(talk).into_iter().map(content).collect()
}

fn parts(message: &ChatMessage) -> Vec<Value> {
    let ChatMessage { content, tool_calls, answers, verbatim, .. } = message;
    if let Some(Value::Array(verbatim)) = verbatim {
        return verbatim.clone();
    }
    if let Some(call) = answers {
        let response = json!({ "name": call.name, "response": object(content) });
        return vec![json!({ "functionResponse": with_id(response, &call.id) })];
    }
    let text = (!content.trim().is_empty()).then(|| json!({ "text": content }));
    let calls = tool_calls.iter().map(|call| {
        let function = json!({ "name": call.name, "args": arguments_object(&call.arguments) });
        json!({ "functionCall": with_id(function, &call.id) })
    });
    text.into_iter().chain(calls).collect()
}

fn with_id(mut of_call: Value, id: &str) -> Value {
    set_if_some(&mut of_call, "id", (!id.is_empty()).then_some(id));
    of_call
}

/// What a tool answered, as the object that the API asks for.
fn object(answer: &str) -> Value {
    match serde_json::from_str(answer) {
        Ok(object @ Value::Object(_)) => object,
        Ok(value) => json!({ "result": value }),
        Err(_) => json!({ "result": answer }),
    }
}

fn declared(tool: &ToolSpec) -> Value {
    json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters })
}

fn set_tools(body: &mut Value, options: &ChatOptions) {
    if options.tools.is_empty() {
        return;
    }
    let declared: Value = options.tools.iter().map(declared).collect();
    body["tools"] = json!([{ "functionDeclarations": declared }]);
    let config = options.tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Tool(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    });
    set_if_some(body, "toolConfig", config.map(|config| json!({ "functionCallingConfig": config })));
}

fn generation_config(request: &ChatRequest) -> Option<Value> {
    let mut config = json!({});
    set_if_some(&mut config, "temperature", request.sampling.temperature);
    set_if_some(&mut config, "maxOutputTokens", request.sampling.max_tokens);
    set_if_some(&mut config, "seed", request.sampling.seed.map(|seed| seed & SEED_BITS));
    if let Some(effort) = effort(request) {
        config["thinkingConfig"] = json!({ "thinkingLevel": effort });
    }
    if let AnswerForm::Schema(spec) = &request.form {
        config["responseMimeType"] = json!(JSON);
        config["responseJsonSchema"] = spec.parameters.clone();
    }
    set_options(&mut config, &request.options);
    (config != json!({})).then_some(config)
}

fn set_options(config: &mut Value, options: &ChatOptions) {
    set_if_some(config, "topP", options.top_p);
    set_if_some(config, "frequencyPenalty", options.frequency_penalty);
    set_if_some(config, "presencePenalty", options.presence_penalty);
    set_if_some(config, "stopSequences", (!options.stop.is_empty()).then(|| options.stop.clone()));
    match &options.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::Json) => config["responseMimeType"] = json!(JSON),
        Some(ResponseFormat::Schema(schema)) => {
            config["responseMimeType"] = json!(JSON);
            config["responseJsonSchema"] = schema.clone();
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<Usage>,
    model_version: Option<String>,
    response_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    /// True for a thought, which is not said.
    #[serde(default)]
    thought: bool,
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    said: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thought: Option<u64>,
}

impl Part {
    fn add_to(self, reply: &mut ChatReply) {
        if let Some(text) = self.text.filter(|_| !self.thought) {
            reply.content.push_str(&text);
        }
        if let Some(call) = self.function_call {
            reply.tool_calls.push(tool_call(call.id, call.name, call.args));
        }
    }
}

impl From<Usage> for TokenUsage {
    /// The API counts thoughts apart; they are paid like what is said.
    fn from(usage: Usage) -> Self {
        let output = [usage.said, usage.thought];
        Self {
            input_tokens: usage.prompt.unwrap_or_default(),
            output_tokens: output.into_iter().flatten().sum(),
            calls: 1,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_model_name_is_of_the_collection_of_models() {
        let url =
            |model: &str| GenerateContent.url(Url::parse("http://h/v1beta/").unwrap(), model).to_string();
        assert_eq!(url("gemini-2.5-pro"), "http://h/v1beta/models/gemini-2.5-pro:generateContent");
        assert_eq!(url("models/gemini-2.5-pro"), "http://h/v1beta/models/gemini-2.5-pro:generateContent");
        assert_eq!(url("tunedModels/mine"), "http://h/v1beta/tunedModels/mine:generateContent");
    }

    #[test]
    fn a_blocked_prompt_is_named_as_such() {
        let answer = json!({ "promptFeedback": { "blockReason": "SAFETY" } });
        let error = GenerateContent.reply(answer).unwrap_err().to_string();
        assert_eq!(error, "the answer has no candidates: the prompt was blocked (SAFETY)");
    }
}
