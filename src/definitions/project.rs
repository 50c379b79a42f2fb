//! A tenant's project.

use serde::{Deserialize, Serialize};

use super::{CallLimits, RunEvents, Secret};
use crate::events::{Budget, ProjectId};

/// A tenant's project: who it is, its default model, and where its spans go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Project {
    /// The project's id.
    pub id: ProjectId,
    /// Its name; the id where none is given.
    #[serde(default)]
    pub name: Option<String>,
    /// The model of every role that names none, as `provider/model`.
    #[serde(default)]
    pub default_model: Option<String>,
    /// Where the spans of this project's runs go.
    #[serde(default)]
    pub telemetry: Option<TelemetryDestination>,
    /// What each of its runs may cost at most, whatever a request says.
    #[serde(default)]
    pub budget: Budget,
    /// How many calls its runs may make, whomever they call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<CallLimits>,
}

/// An OTLP/HTTP endpoint of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelemetryDestination {
    /// Base or full URL; see [`TelemetryDestination::traces_url`].
    pub endpoint: String,
    /// Sent as bearer token and as `X-Auth-Token`.
    #[serde(default, serialize_with = "Secret::serialize_exposed")]
    pub api_key: Option<Secret>,
    /// Which path an endpoint without one gets.
    #[serde(default)]
    pub protocol: TelemetryProtocol,
    /// What spans say of the conversation; the worker's setting where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<ContentCapture>,
    /// Whether LangWatch is told of runs as they happen, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<RunEvents>,
}

/// What spans say of the conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentCapture {
    /// What was said, asked and answered.
    #[default]
    Full,
    /// Who was asked when, how long it took, what it cost and what came of it, but no words.
    Metadata,
}

/// Who answers behind a telemetry endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TelemetryProtocol {
    /// LangWatch: traces go to `/api/otel/v1/traces`.
    #[default]
    Langwatch,
    /// Any OTLP/HTTP collector: traces go to `/v1/traces`.
    Otlp,
}

impl TelemetryDestination {
    /// The URL that spans are posted to.
    #[must_use]
    pub fn traces_url(&self) -> String {
        let base = self.endpoint.trim_end_matches('/');
        if base.ends_with("/v1/traces") {
            base.to_owned()
        } else if base.ends_with("/api/otel") || self.protocol == TelemetryProtocol::Otlp {
            format!("{base}/v1/traces")
        } else {
            format!("{base}/api/otel/v1/traces")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(endpoint: &str, protocol: TelemetryProtocol) -> String {
        TelemetryDestination {
            endpoint: endpoint.into(),
            api_key: None,
            protocol,
            capture: None,
            events: None,
        }
        .traces_url()
    }

    #[test]
    fn an_endpoint_gets_the_path_of_its_protocol() {
        let (langwatch, otlp) = (TelemetryProtocol::Langwatch, TelemetryProtocol::Otlp);
        assert_eq!(url("https://app.example", langwatch), "https://app.example/api/otel/v1/traces");
        assert_eq!(url("https://app.example/", otlp), "https://app.example/v1/traces");
        assert_eq!(url("https://app.example/api/otel", otlp), "https://app.example/api/otel/v1/traces");
        assert_eq!(url("https://c.example/v1/traces", langwatch), "https://c.example/v1/traces");
    }
}
