//! Telling LangWatch of runs as they happen.

use serde::{Deserialize, Serialize};

use super::{Secret, TelemetryDestination, TelemetryProtocol};

/// Where the platform takes events, behind its address.
const PATH: &str = "/api/scenario-events";
/// What the platform's endpoint of spans may end in, behind its address.
const SPANS_PATHS: [&str; 2] = ["/api/otel/v1/traces", "/api/otel"];
/// What an endpoint of spans ends in that may be anybody's.
const ANY_SPANS_PATH: &str = "/v1/traces";

/// Whether LangWatch is told of the runs of a project as they happen. Nobody is told where nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false, or a mapping with `endpoint` and `apiKey`")]
pub enum RunEvents {
    /// The platform that gets the spans, with the same key; or nobody.
    AsSpans(bool),
    /// A platform with a key of its own: that of the spans is for the endpoint of the spans.
    Elsewhere(Platform),
}

/// A LangWatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// Its base URL, or the whole one of its events.
    pub endpoint: String,
    /// Sent as bearer token and as `X-Auth-Token`.
    #[serde(default, serialize_with = "Secret::serialize_exposed")]
    pub api_key: Option<Secret>,
}

impl Platform {
    /// The URL that events are posted to.
    #[must_use]
    pub fn events_url(&self) -> String {
        let base = self.endpoint.trim_end_matches('/');
        if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") }
    }
}

impl TelemetryDestination {
    /// Who is told of runs as they happen; `None` if nobody is, or if the endpoint of the spans, which is said to be the
    /// platform, is none.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        match self.events.as_ref()? {
            RunEvents::AsSpans(false) => None,
            RunEvents::AsSpans(true) => {
                Some(Platform { endpoint: self.base()?, api_key: self.api_key.clone() })
            }
            RunEvents::Elsewhere(platform) => Some(platform.clone()),
        }
    }

    /// The address of the LangWatch that gets the spans; `None` if they go to another collector.
    fn base(&self) -> Option<String> {
        let endpoint = self.endpoint.trim_end_matches('/');
        let base = SPANS_PATHS.iter().find_map(|path| endpoint.strip_suffix(path)).unwrap_or(endpoint);
        let is_platform = self.protocol == TelemetryProtocol::Langwatch && !base.ends_with(ANY_SPANS_PATH);
        is_platform.then(|| base.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn platform(definition: serde_json::Value) -> Option<(String, Option<Secret>)> {
        let telemetry: TelemetryDestination = serde_json::from_value(definition).unwrap();
        telemetry.platform().map(|platform| (platform.events_url(), platform.api_key))
    }

    #[test]
    fn nobody_is_told_unless_that_is_asked_for() {
        for telemetry in [
            json!({ "endpoint": "https://l", "apiKey": "k" }),
            json!({ "endpoint": "https://l", "events": false }),
        ] {
            assert_eq!(platform(telemetry), None);
        }
    }

    #[test]
    fn the_platform_of_the_spans_is_found_by_their_endpoint_however_it_is_written() {
        for endpoint in ["https://l", "https://l/", "https://l/api/otel", "https://l/api/otel/v1/traces"] {
            let told = platform(json!({ "endpoint": endpoint, "apiKey": "k", "events": true }));
            assert_eq!(
                told,
                Some(("https://l/api/scenario-events".to_owned(), Some(Secret::new("k")))),
                "{endpoint}"
            );
        }
        assert_eq!(platform(json!({ "endpoint": "https://c", "protocol": "otlp", "events": true })), None);
        assert_eq!(platform(json!({ "endpoint": "https://c/v1/traces", "events": true })), None);
    }

    #[test]
    fn another_platform_never_gets_the_key_of_the_spans() {
        let elsewhere = |platform| json!({ "endpoint": "https://c", "apiKey": "k", "events": platform });
        let url = || "https://l/api/scenario-events".to_owned();
        assert_eq!(platform(elsewhere(json!({ "endpoint": "https://l" }))), Some((url(), None)));
        let own = json!({ "endpoint": url(), "apiKey": "own" });
        assert_eq!(platform(elsewhere(own)), Some((url(), Some(Secret::new("own")))));
    }
}
