//! What people write about an HTTP agent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::polling::PollDefinition;
use super::retry::RetriesDefinition;
use super::status::StatusDefinition;
use super::streaming::StreamDefinition;
use super::templates::RequestParts;
use super::tool_calls::ToolCallsDefinition;
use super::usage::UsageDefinition;
use crate::definitions::{AgentDefinition, FieldMappings, Secret};
use crate::execution::ports::OnUnknown;

/// The method of a definition that names none.
const DEFAULT_METHOD: &str = "POST";

/// An HTTP agent's part of its definition. It has no `Debug`: any text of it may be a credential.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpDefinition {
    /// Where the agent answers: a template.
    pub(super) url: String,
    /// The method of its requests.
    #[serde(default = "default_method")]
    pub(super) method: String,
    /// Headers of its requests, in order.
    #[serde(default)]
    pub(super) headers: Vec<PairDefinition>,
    /// Parameters of the query of its requests, in order, behind those that the URL has.
    #[serde(default)]
    pub(super) query: Vec<PairDefinition>,
    /// How a request proves where it comes from.
    #[serde(default)]
    pub(super) auth: AuthDefinition,
    /// Certificates of the agent's own.
    #[serde(default)]
    pub(super) tls: Option<TlsDefinition>,
    /// What begins and ends the agent's part in a run.
    #[serde(default)]
    pub(super) session: Option<SessionDefinition>,
    /// The body of its requests: a template.
    #[serde(default)]
    pub(super) body_template: Option<String>,
    /// Whether `{{ secrets.NAME }}` stands for the secret in the body, too.
    #[serde(default)]
    pub(super) secrets_in_body: bool,
    /// Variables of the templates, and what each stands for.
    #[serde(default)]
    pub(super) field_mappings: FieldMappings,
    /// Where in the reply the agent's words are: a `JSONPath`.
    #[serde(default)]
    pub(super) output_path: Option<String>,
    /// What to do about a request that was under way when its worker was lost.
    #[serde(default)]
    pub(super) on_unknown: OnUnknownDefinition,
    /// Time for one reply, in seconds.
    #[serde(default)]
    pub(super) timeout_seconds: Option<u64>,
    /// Time for making a connection, in seconds.
    #[serde(default)]
    pub(super) connect_timeout_seconds: Option<u64>,
    /// Time until an answer begins, in seconds.
    #[serde(default)]
    pub(super) first_byte_timeout_seconds: Option<u64>,
    /// Time between two pieces of an answer, in seconds.
    #[serde(default)]
    pub(super) idle_timeout_seconds: Option<u64>,
    /// The most of a reply that is taken in, in bytes after decompression.
    #[serde(default)]
    pub(super) max_response_bytes: Option<usize>,
    /// Which answers are answers.
    #[serde(default)]
    pub(super) status: StatusDefinition,
    /// When the agent is asked again.
    #[serde(default)]
    pub(super) retries: Option<RetriesDefinition>,
    /// How an answer that comes bit by bit is put together.
    #[serde(default)]
    pub(super) stream: Option<StreamDefinition>,
    /// Where the agent says which tools it called.
    #[serde(default)]
    pub(super) tool_calls: Option<ToolCallsDefinition>,
    /// Where the agent says how many tokens it used.
    #[serde(default)]
    pub(super) usage: Option<UsageDefinition>,
    /// How to look for an answer that comes later.
    #[serde(default)]
    pub(super) poll: Option<PollDefinition>,
}

/// What to do about a request whose end is unknown.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnUnknownDefinition {
    /// Send it again, under the same `Idempotency-Key`.
    #[default]
    Retry,
    /// Give the run up.
    Fail,
}

impl From<OnUnknownDefinition> for OnUnknown {
    fn from(definition: OnUnknownDefinition) -> Self {
        match definition {
            OnUnknownDefinition::Retry => Self::Retry,
            OnUnknownDefinition::Fail => Self::Fail,
        }
    }
}

/// One header, or one parameter of a query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `key` and `value`")]
pub(super) struct PairDefinition {
    /// Its name.
    pub(super) key: String,
    /// Its value: a template.
    pub(super) value: String,
}

/// How a request proves where it comes from. Every field may name secrets; none is a template.
#[derive(Default, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    deny_unknown_fields,
    expecting = "a mapping with `type`: none, bearer, api_key, basic or oauth2"
)]
pub(super) enum AuthDefinition {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer {token}`.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A header of the agent's own.
    ApiKey {
        /// Its name.
        header: String,
        /// Its value.
        value: Secret,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        username: String,
        /// The password; empty where none is given.
        #[serde(default = "no_password")]
        password: Secret,
    },
    /// `Authorization: Bearer {token}` with a token that is fetched for these credentials (RFC 6749, section 4.4).
    #[serde(rename = "oauth2", rename_all = "camelCase")]
    OAuth2 {
        /// Where tokens are fetched.
        token_url: String,
        /// Who asks.
        client_id: String,
        /// The proof of that.
        client_secret: Secret,
        /// What is asked for.
        #[serde(default)]
        scope: Option<String>,
        /// For whom the token is, where the server wants to know.
        #[serde(default)]
        audience: Option<String>,
        /// How the client says who it is.
        #[serde(default)]
        auth_style: ClientAuthDefinition,
    },
}

/// How an OAuth 2.0 client says who it is (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClientAuthDefinition {
    /// In an `Authorization: Basic` header.
    #[default]
    Basic,
    /// In the form that is sent.
    Body,
}

/// Certificates of an agent's own, each as PEM. Every field may name secrets.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a mapping of `caCertificate`, `clientCertificate`, `clientKey` and `serverName`"
)]
pub(super) struct TlsDefinition {
    /// Authorities that are trusted beside the machine's.
    #[serde(default)]
    pub(super) ca_certificate: Option<Secret>,
    /// What proves who calls.
    #[serde(default)]
    pub(super) client_certificate: Option<Secret>,
    /// The key of that.
    #[serde(default)]
    pub(super) client_key: Option<Secret>,
    /// The name that the agent's certificate is for, where that is not the URL's host.
    #[serde(default)]
    pub(super) server_name: Option<String>,
}

/// What begins and ends an agent's part in a run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SessionDefinition {
    /// The request before the first turn.
    #[serde(default)]
    pub(super) start: Option<StepDefinition>,
    /// The request after the last one.
    #[serde(default)]
    pub(super) end: Option<StepDefinition>,
    /// Whether cookies are kept for as long as the run lasts.
    #[serde(default = "kept")]
    pub(super) cookies: bool,
}

/// A request that is no turn.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StepDefinition {
    /// Where it goes: a template.
    pub(super) url: String,
    /// Its method.
    #[serde(default = "default_method")]
    pub(super) method: String,
    /// Its headers, in order.
    #[serde(default)]
    pub(super) headers: Vec<PairDefinition>,
    /// What is added to its query, in order.
    #[serde(default)]
    pub(super) query: Vec<PairDefinition>,
    /// Its body: a template. None where none is written.
    #[serde(default, alias = "bodyTemplate")]
    pub(super) body: Option<String>,
    /// What is taken from the reply, and the name that templates read it by.
    #[serde(default)]
    pub(super) capture: BTreeMap<String, CaptureDefinition>,
}

/// Where in a reply something is.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a JSONPath, { header: NAME } or { cookie: NAME }")]
pub(super) enum CaptureDefinition {
    /// In its body: a `JSONPath`.
    Path(String),
    /// Elsewhere.
    From(CaptureSource),
}

/// Where beside the body something is.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CaptureSource {
    /// In a header of this name.
    Header(String),
    /// In a cookie of this name.
    Cookie(String),
}

fn kept() -> bool {
    true
}

fn default_method() -> String {
    DEFAULT_METHOD.to_owned()
}

fn no_password() -> Secret {
    Secret::new("")
}

impl HttpDefinition {
    /// The request of one turn.
    pub(super) fn request(&self) -> RequestParts<'_> {
        RequestParts {
            method: &self.method,
            url: &self.url,
            query: &self.query,
            headers: &self.headers,
            body: self.body_template.as_ref(),
            secrets_in_body: self.secrets_in_body,
        }
    }

    /// Reads an agent's untyped part.
    pub(super) fn read(agent: &AgentDefinition) -> Result<Self, String> {
        read(agent.config.clone())
    }
}

/// Reads what people wrote. An error names the place, and no value.
pub(super) fn read<T: DeserializeOwned>(config: Map<String, Value>) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(config)).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { String::new() } else { format!("{place}: ") };
        format!("{place}{}", without_value(&error.inner().to_string()))
    })
}

/// A value of the wrong type may be a credential that was not quoted, so it is not repeated.
fn without_value(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((invalid, expected)) if invalid.starts_with("invalid ") => {
            format!("must be {}", in_words(expected))
        }
        _ => message.to_owned(),
    }
}

/// What the reader calls what it expects, in the words of whoever writes definitions. The first that begins so counts.
const SHAPES: [(&str, &str); 13] = [
    ("struct ", "a mapping"),
    ("a map", "a mapping"),
    ("internally tagged enum ", "a mapping with `type`"),
    ("a sequence", "a list"),
    ("tuple ", "a list"),
    ("a string", "a text; put it in quotes if it looks like a number"),
    ("string", "a text; put it in quotes if it looks like a number"),
    ("a boolean", "true or false"),
    ("enum ", "one of the known words"),
    ("variant identifier", "one of the known words"),
    ("u", "a whole number that is not negative"),
    ("i", "a whole number"),
    ("f", "a number"),
];

fn in_words(expected: &str) -> String {
    // Who expects something in particular says so.
    if expected.starts_with("a mapping") || expected.starts_with("a nonzero") {
        return expected.to_owned();
    }
    let known = SHAPES.iter().find(|(begin, _)| expected.starts_with(begin));
    known.map_or(expected, |(_, words)| words).to_owned()
}
