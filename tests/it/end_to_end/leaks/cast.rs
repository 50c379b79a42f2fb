//! Who plays: tenants with keys of their own, and runs of every kind.

use scenario_worker::execution::types::DECIDE_TOOL;
use serde_json::{Value, json};

/// Everything that a run's agent says has this about it.
pub(super) fn words_of(run: &str) -> String {
    format!("words[{run}]")
}

/// A tenant, with credentials that nobody else has. No credential is the beginning of another.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) project: String,
    /// Opens its telemetry endpoint.
    pub(super) spans_key: String,
    /// Opens its agent.
    pub(super) agent_key: String,
    /// Opens its models.
    pub(super) model_key: String,
    /// Which of the telemetry endpoints is its.
    pub(super) door: usize,
}

impl Tenant {
    pub(super) fn new(number: usize, door: usize) -> Self {
        let key = |of: &str| format!("Canary{of}Key{number:02}x");
        let (spans_key, agent_key, model_key) = (key("Spans"), key("Agent"), key("Model"));
        Self { project: format!("tenant-{number:02}x"), spans_key, agent_key, model_key, door }
    }

    /// Its definitions, with its telemetry endpoint, its agent and its models.
    pub(super) fn definitions(&self, places: &Places) -> Value {
        let Places { doors, agent, models, authority } = places;
        let provider = |id: &str, path: &str| {
            let base = format!("{models}/{path}");
            json!({ "id": id, "kind": "openai", "baseUrl": base, "apiKey": self.model_key })
        };
        json!({
            "project": {
                "id": self.project, "defaultModel": "openai/m",
                "telemetry": { "endpoint": doors[self.door], "apiKey": self.spans_key, "protocol": "otlp" },
            },
            "providers": [provider("openai", "v1"), provider("refusing", "refusing")],
            "secrets": { "TOKEN": self.agent_key },
            "prompts": [{ "id": "support", "systemPrompt": "You are kind.", "model": "openai/m" }],
            "agents": [{
                "id": "shop", "type": "http", "url": format!("{agent}/{}", self.project),
                "auth": { "type": "bearer", "token": "{{ secrets.TOKEN }}" }, "tls": { "caCertificate": authority },
                "bodyTemplate": r#"{"run": "{{ threadId }}", "message": "{{ input }}"}"#, "outputPath": "$.reply",
            }],
            "scenarios": [{
                "id": "refund", "name": "Refund", "situation": "A mug broke.", "maxTurns": 2,
                "criteria": ["The agent apologises"],
            }],
        })
    }
}

/// Where everybody is.
pub(super) struct Places {
    pub(super) doors: Vec<String>,
    pub(super) agent: String,
    pub(super) models: String,
    /// Whose word the certificates of agent and endpoints are good for, as PEM.
    pub(super) authority: String,
}

/// What becomes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Passes,
    Fails,
    /// The agent answers with an error.
    Breaks,
    /// A model answers with an error.
    Refused,
    /// Cancelled while the agent thinks.
    Cancelled,
    /// Out of time while the agent thinks.
    Late,
    /// Under way when its worker is killed.
    Orphaned,
    /// The agent sends spans of its own.
    Traced,
    /// A model plays the agent.
    Prompted,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Passes,
        Self::Orphaned,
        Self::Fails,
        Self::Cancelled,
        Self::Traced,
        Self::Breaks,
        Self::Late,
        Self::Refused,
        Self::Prompted,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Fails => "fails",
            Self::Breaks => "breaks",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Late => "late",
            Self::Orphaned => "orphaned",
            Self::Traced => "traced",
            Self::Prompted => "prompted",
        }
    }

    /// The kind that the id of a run tells.
    pub(super) fn of(run: &str) -> Self {
        let is_it = |kind: &Self| run.ends_with(kind.name());
        Self::ALL.into_iter().find(is_it).unwrap_or_else(|| panic!("{run} is of no kind"))
    }
}

/// How a run's trace stands to that of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Links,
    Continues,
}

/// The trace context of a request.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) trace: String,
    pub(super) span: String,
    pub(super) relation: Relation,
}

/// A run that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    /// Which tenant's it is.
    pub(super) tenant: usize,
    pub(super) kind: Kind,
    pub(super) parent: Option<Parent>,
}

impl Run {
    /// The run with this number: every tenant comes to every kind, and every kind to every relation.
    pub(super) fn new(number: usize, tenants: usize) -> Self {
        let (tenant, round) = (number % tenants, number / tenants);
        let kind = Kind::ALL[(tenant + round) % Kind::ALL.len()];
        // Two runs of two tenants continue the same trace.
        let parent = match (number + round) % 4 {
            0 => None,
            1 => Some(Parent::new(number, number, Relation::Links)),
            _ => Some(Parent::new(1000 + number / 2, number, Relation::Continues)),
        };
        Self { id: format!("run-{number:03}-{}", kind.name()), tenant, kind, parent }
    }

    /// The payload of its request.
    pub(super) fn request(&self, tenant: &Tenant) -> Value {
        let target = match self.kind {
            Kind::Prompted => json!({ "type": "prompt", "referenceId": "support" }),
            _ => json!({ "type": "http", "referenceId": "shop" }),
        };
        let mut request = json!({
            "projectId": tenant.project, "scenarioId": "refund", "scenarioRunId": self.id, "target": target,
        });
        match self.kind {
            Kind::Refused => request["models"] = json!({ "userSimulator": "refusing/m" }),
            Kind::Late => request["timeoutSeconds"] = json!(1),
            _ => {}
        }
        if self.continues() {
            request["traceContext"] = json!("continue");
        }
        request
    }

    pub(super) fn continues(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.relation == Relation::Continues)
    }
}

impl Parent {
    fn new(trace: usize, span: usize, relation: Relation) -> Self {
        Self { trace: format!("ca11e4{trace:026x}"), span: format!("ca11e4{span:010x}"), relation }
    }

    /// As a header.
    pub(super) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

/// A judge who is content with every agent but those of runs that fail.
pub(super) fn judged(request: &Value, answer: Vec<u8>) -> Vec<u8> {
    let is_verdict = request["tools"][0]["function"]["name"].as_str().is_some_and(|name| name != DECIDE_TOOL);
    let fails = format!("-{}]", Kind::Fails.name());
    if !is_verdict || !request.to_string().contains(&fails) {
        return answer;
    }
    String::from_utf8(answer)
        .unwrap()
        .replace(r#"\"status\":\"met\""#, r#"\"status\":\"unmet\""#)
        .into_bytes()
}
