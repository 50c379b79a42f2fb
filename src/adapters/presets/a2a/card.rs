//! The agent card: where an agent speaks which version of the protocol.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::dialect::Dialect;
use crate::adapters::codes;
use crate::adapters::http::line::{Call, below};
use crate::adapters::http::request::Outgoing;
use crate::adapters::http::transport::origin_and_path;
use crate::events::Attribution;
use crate::execution::failure::RunFailure;

/// Where the card is (RFC 8615), and where it was before version 0.3.
const CARD_PATHS: [&str; 2] = ["agent-card.json", "agent.json"];
const WELL_KNOWN: &str = ".well-known";
/// The binding that is spoken here.
const JSON_RPC: &str = "JSONRPC";
const VERSION: HeaderName = HeaderName::from_static("a2a-version");
/// The version of a card that names none: those were before 1.0.
const VERSION_OF_OLD_CARDS: &str = "0.3";

/// Where and how an agent is asked.
#[derive(Debug)]
pub(super) struct Interface {
    /// `None` is the definition's URL.
    url: Option<Url>,
    pub(super) dialect: Dialect,
    pub(super) streams: bool,
    /// What the agent wants to be told with each request.
    tenant: Option<String>,
}

impl Interface {
    /// The definition's URL, where `dialect` is spoken.
    pub(super) fn of_definition(dialect: Dialect) -> Self {
        Self { url: None, dialect, streams: false, tenant: None }
    }

    /// `request`, sent to this interface. The definition's query goes along to its own origin, and to no other.
    pub(super) fn aim(&self, mut request: Outgoing) -> Outgoing {
        if let Some(url) = &self.url {
            let own = std::mem::replace(&mut request.url, url.clone());
            if own.origin() == url.origin() {
                add_query(&mut request.url, own.query().unwrap_or_default());
            }
        }
        if let Some(version) = self.dialect.version_header() {
            request.headers.insert(VERSION, HeaderValue::from_static(version));
        }
        request
    }

    /// `params` with the tenant that the card names.
    pub(super) fn addressed(&self, mut params: Value) -> Value {
        if let Some(tenant) = &self.tenant {
            params["tenant"] = json!(tenant);
        }
        params
    }
}

/// Adds the parameters of `query` that `url` does not have.
fn add_query(url: &mut Url, query: &str) {
    let there = url.query().unwrap_or_default().to_owned();
    let mut all: Vec<&str> = there.split('&').filter(|parameter| !parameter.is_empty()).collect();
    let missing: Vec<&str> =
        query.split('&').filter(|parameter| !parameter.is_empty() && !all.contains(parameter)).collect();
    if !missing.is_empty() {
        all.extend(missing);
        url.set_query(Some(&all.join("&")));
    }
}

/// A card, as 1.0 and 0.3 have it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Card {
    supported_interfaces: Option<Vec<Listed>>,
    url: Option<String>,
    preferred_transport: Option<String>,
    protocol_version: Option<String>,
    additional_interfaces: Option<Vec<Listed>>,
    capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
struct Capabilities {
    streaming: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    url: String,
    #[serde(alias = "transport")]
    protocol_binding: Option<String>,
    protocol_version: Option<String>,
    tenant: Option<String>,
}

impl Card {
    /// Every interface; the agent's own order is its preference.
    fn interfaces(self) -> Vec<Listed> {
        if let Some(listed) = self.supported_interfaces.filter(|listed| !listed.is_empty()) {
            return listed;
        }
        let version = self.protocol_version;
        let main = self.url.map(|url| Listed {
            url,
            protocol_binding: self.preferred_transport,
            protocol_version: version.clone(),
            tenant: None,
        });
        let more = self.additional_interfaces.unwrap_or_default().into_iter();
        main.into_iter()
            .chain(more.map(|listed| Listed { protocol_version: version.clone(), ..listed }))
            .collect()
    }
}

/// Reads the agent's card, and takes the first interface that is spoken here.
pub(super) async fn interface(call: &Call<'_>, wanted: Option<Dialect>) -> Result<Interface, RunFailure> {
    let (place, card) = fetch(call).await?;
    let card: Card =
        serde_json::from_value(card).map_err(|error| broken(call, &place, &error.to_string()))?;
    let streams = card.capabilities.as_ref().and_then(|able| able.streaming).unwrap_or_default();
    let listed = card.interfaces();
    let bindings: Vec<String> = listed.iter().map(described).collect();
    let spoken = listed.into_iter().filter_map(|listed| Some((dialect_of(&listed)?, listed)));
    let Some((dialect, chosen)) =
        spoken.into_iter().find(|(dialect, _)| wanted.is_none_or(|w| w == *dialect))
    else {
        let problem = format!("it offers no JSON-RPC of version 1.0 or 0.3, only {}", bindings.join(", "));
        return Err(broken(call, &place, &problem));
    };
    let url = Url::parse(&chosen.url).map_err(|error| broken(call, &place, &format!("url: {error}")))?;
    stay_home(call, &url)?;
    Ok(Interface { url: Some(url), dialect, streams, tenant: chosen.tenant })
}

async fn fetch(call: &Call<'_>) -> Result<(String, Value), RunFailure> {
    let mut refusal = None;
    for path in CARD_PATHS {
        let mut request = call.reading()?;
        if request.url.path().rsplit_once('.').is_some_and(|(_, form)| form == "json") {
            let place = origin_and_path(&request.url);
            return Ok((place, call.send(request).await?.accepted().await?.json().await?));
        }
        below(&mut request.url, &[WELL_KNOWN, path]);
        let place = origin_and_path(&request.url);
        match call.send(request).await?.accepted().await {
            Ok(answer) => return Ok((place, answer.json().await?)),
            Err(other) if other.status != StatusCode::NOT_FOUND => return Err(other.into()),
            Err(not_there) => refusal = refusal.or(Some(not_there)),
        }
    }
    let hint = "Correct the url in the agent's definition; without an agent card, set `card: false`";
    Err(refusal.map_or_else(|| call.invalid("there is no agent card"), RunFailure::from).with_hint(hint))
}

fn described(listed: &Listed) -> String {
    let binding = listed.protocol_binding.as_deref().unwrap_or(JSON_RPC);
    format!("{binding} {}", listed.protocol_version.as_deref().unwrap_or(VERSION_OF_OLD_CARDS))
}

fn dialect_of(listed: &Listed) -> Option<Dialect> {
    let binding = listed.protocol_binding.as_deref().unwrap_or(JSON_RPC);
    if !binding.eq_ignore_ascii_case(JSON_RPC) {
        return None;
    }
    Dialect::of_version(listed.protocol_version.as_deref().unwrap_or(VERSION_OF_OLD_CARDS)).ok()
}

/// A card must not lead credentials to where the definition does not.
fn stay_home(call: &Call<'_>, url: &Url) -> Result<(), RunFailure> {
    let own = call.reading()?.url;
    if own.origin() == url.origin() || !call.carries_credentials() {
        return Ok(());
    }
    let message = format!(
        "the agent card of {} leads to {}, and headers and credentials of the definition do not go to another origin",
        call.place(),
        origin_and_path(url)
    );
    let hint = "Correct the card, or put that URL into the agent's definition with `card: false`";
    Err(call.unusable(&message).with_hint(hint))
}

fn broken(call: &Call<'_>, place: &str, problem: &str) -> RunFailure {
    let message = format!("the agent card of {place} cannot be used: {}", call.shown(problem));
    RunFailure::new(codes::HTTP_INVALID_RESPONSE, Attribution::Target, message)
}
