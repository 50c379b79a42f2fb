//! Whatever a customer says and whatever a parameter holds, a request goes where its definition says.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Map;
use time::OffsetDateTime;

use super::super::endpoint::Endpoint;
use super::*;
use crate::definitions::{AgentDefinition, Secrets};
use crate::events::{MessageRole, ProjectId, RunId, RunKey, TargetType};
use crate::execution::limits::Admission;
use crate::execution::ports::RunSpan;
use crate::execution::types::{Message, SpanEnd, SpanStart};

/// A run that is not traced.
struct NoSpan;

impl RunSpan for NoSpan {
    fn child(&self, _: SpanStart) -> Box<dyn RunSpan> {
        Box::new(Self)
    }

    fn context(&self) -> TraceContext {
        TraceContext { trace_id: [0; 16], span_id: [0; 8], flags: 0, state: String::new() }
    }

    fn end(self: Box<Self>, _: SpanEnd) {}
}

fn endpoint() -> Endpoint {
    let config = json!({
        "url": "https://a.example:8443/{{ input }}/v1-{{ params.p }}/chat?q={{ input }}&p={{ params.p }}&m={{ mine }}#{{ input }}",
        "headers": [
            { "key": "X-Line", "value": "{{ input }}" },
            { "key": "X-Parameter", "value": "is {{ params.p }}" },
        ],
        "query": [{ "key": "line", "value": "{{ input }}" }, { "key": "raw & p", "value": "a&b={{ params.p | raw }}" }],
        "bodyTemplate": r#"{"line": "{{ input }}", "bare": {{ input }}, "p": {{ params.p }}, "key": "{{ secrets.K }}", "bareKey": {{ secrets.K }}, "history": {{ messages }}}"#,
        "secretsInBody": true,
        "fieldMappings": { "mine": { "type": "source", "path": ["input"] } },
    });
    let Value::Object(config) = config else { panic!("no map") };
    let kind = TargetType::parse("http").unwrap();
    let agent = AgentDefinition { id: "shop".into(), kind, limits: None, config };
    let mut endpoint = Endpoint::read(&agent).unwrap();
    endpoint.resolve_secrets(&Secrets::from([("K".to_owned(), Secret::new(SECRET))])).unwrap();
    endpoint
}

/// A secret that would break out of a JSON string.
const SECRET: &str = "s\"e\\c, \"x\": {{ input }}\n";

fn said(line: &str) -> Message {
    Message {
        turn: 1,
        role: MessageRole::User,
        content: line.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    }
}

fn built(line: &str, parameter: &Value) -> Result<Outgoing, RunFailure> {
    let transcript: Arc<[Message]> = Arc::new([said(line)]);
    let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r1").unwrap() };
    let (admission, session) = (Admission::default(), None);
    let turn = TargetTurn {
        run: &run,
        turn: 1,
        transcript: &transcript,
        span: &NoSpan,
        session,
        admission,
        so_far: None,
    };
    let endpoint = endpoint();
    let mut variables = Variables::of_turn(&turn, &Map::from_iter([("p".to_owned(), parameter.clone())]));
    variables.bind_mapped(&endpoint.mappings, &turn);
    let (usual_body, proof) = (Some(usual_body(&turn)), endpoint.auth.header());
    let idempotency_key = "r1:1".to_owned();
    let (trace, baggage, repeatable) = (None, None, true);
    let filling = Filling { variables, trace, baggage, idempotency_key, usual_body, repeatable, proof };
    filling.build(&endpoint.request)
}

/// Pieces of what would lead elsewhere.
const PIECES: [&str; 23] = [
    "/",
    "..",
    ".",
    "%2e",
    "%2F",
    "\\",
    "?",
    "#",
    "&",
    "=",
    "@",
    ":",
    "//",
    "\r\nX-Evil: 1",
    "\n",
    "\0",
    "%0d%0a",
    "\t",
    " ",
    "ü",
    "\u{7f}",
    "a",
    "+",
];
/// Those of them that a header may hold.
const VISIBLE: [&str; 13] = ["/", "..", "?", "#", "&", "=", "@", ":", "%2e", "a", "ü", "\\", " "];

fn hostile() -> impl Strategy<Value = String> {
    let text = |pieces: &'static [&str]| {
        prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat())
    };
    prop_oneof![any::<String>(), text(&PIECES), text(&VISIBLE)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_keeps_its_address_and_its_headers_around_any_values(
        line in hostile(),
        parameter in prop_oneof![hostile().prop_map(Value::from), any::<i64>().prop_map(Value::from)],
    ) {
        let usual = built("hello", &json!("eu")).unwrap();
        let request = match built(&line, &parameter) {
            Ok(request) => request,
            Err(failure) => {
                prop_assert_eq!(failure.code.as_ref(), codes::TEMPLATE_FAILED);
                return Ok(());
            }
        };
        prop_assert_eq!(request.url.origin(), usual.url.origin());
        prop_assert!(request.url.username().is_empty() && request.url.password().is_none());
        let segments = |url: &Url| url.path_segments().map_or(0, Iterator::count);
        prop_assert_eq!(segments(&request.url), segments(&usual.url), "{}", request.url);
        prop_assert!(request.url.path().ends_with("/chat"), "{}", request.url);
        let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
        let history = json!([{ "role": "user", "content": line }]);
        prop_assert_eq!(
            body,
            json!({ "line": line, "bare": line, "p": parameter, "key": SECRET, "bareKey": SECRET, "history": history })
        );
        let parameter = parameter.as_str().map_or_else(|| parameter.to_string(), str::to_owned);
        let more = format!("a&b={parameter}");
        let expected = [("q", &line), ("p", &parameter), ("m", &line), ("line", &line), ("raw & p", &more)];
        prop_assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.clone())).to_vec());
        let names = |headers: &HeaderMap| headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        prop_assert_eq!(names(&request.headers), names(&usual.headers));
        prop_assert_eq!(request.headers.len(), usual.headers.len());
        prop_assert_eq!(request.headers["x-line"].as_bytes(), line.as_bytes());
    }
}

#[test]
fn a_value_of_dots_does_not_lead_elsewhere() {
    for line in [".", "..", "%2e%2E"] {
        let result = built(line, &json!("eu"));
        let escaped = line.contains('%');
        assert_eq!(result.is_ok(), escaped, "{line}");
        if let Err(failure) = result {
            assert!(failure.message.contains("url has a path segment of dots"), "{failure}");
        }
    }
    assert!(built("...", &json!("..")).is_ok(), "dots beside other text are no way out");
}
