//! The receiver of targets' spans on a real socket, as exporters and strangers meet it.
#![expect(clippy::unwrap_used, reason = "a double that cannot work must fail its test")]

use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use reqwest::{Client, RequestBuilder, Response};
use scenario_worker::definitions::Secret;
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::ports::RunTracers as _;
use scenario_worker::telemetry::ingress::{Bundle, Elsewhere, Hub, Ingress, Reception, Routing};
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::run::trace_id;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::play::{destination, factory, judgement, said, spec, target, transcript};
use crate::support::otlp_receiver::{Mode, OtlpReceiver};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// No other workers, or none that can be asked.
#[derive(Debug)]
struct Others {
    reachable: bool,
}

#[async_trait]
impl Elsewhere for Others {
    async fn offer(&self, _: &Bundle) -> Result<Option<Reception>, Unavailable> {
        if self.reachable { Ok(None) } else { Err(Unavailable::new("asking", "nobody is there")) }
    }
}

/// A running receiver.
struct Door {
    url: String,
    hub: Hub,
    metrics: Metrics,
    client: Client,
    _open: DropGuard,
}

impl Door {
    async fn open_with(others: Others, token: Option<&str>) -> Self {
        let (hub, metrics, stop) = (Hub::default(), Metrics::new().unwrap(), CancellationToken::new());
        let routing = Routing { hub: hub.clone(), elsewhere: Arc::new(others) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let ingress = Ingress::new(routing, token.map(Secret::new), metrics.clone());
        tokio::spawn(ingress.serve(listener, stop.clone()));
        let client = scenario_worker::http_client::builder().build().unwrap();
        Self { url, hub, metrics, client, _open: stop.drop_guard() }
    }

    async fn open() -> Self {
        Self::open_with(Others { reachable: true }, None).await
    }

    fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(&self.url).header("content-type", content_type).body(body)
    }

    fn counted(&self, line: &str) {
        let text = self.metrics.render();
        assert!(text.lines().any(|l| l == line), "`{line}` is missing in:\n{text}");
    }
}

fn request(trace: &[u8], spans: &[(u8, u8)]) -> ExportTraceServiceRequest {
    let span = |(id, parent): &(u8, u8)| Span {
        trace_id: trace.to_vec(),
        span_id: vec![*id; 8],
        parent_span_id: vec![*parent; 8],
        name: format!("span {id}"),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: spans.iter().map(span).collect(), ..ScopeSpans::default() }];
    let group = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn rejected(response: Response) -> i64 {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    let answer = ExportTraceServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    answer.partial_success.map_or(0, |partial| partial.rejected_spans)
}

#[tokio::test]
async fn what_is_no_export_is_refused_with_the_status_that_says_so() {
    let door = Door::open().await;
    let large = vec![0; 9 * 1024 * 1024];
    let with_encoding = |encoding: &str| door.post(PROTOBUF, Vec::new()).header("content-encoding", encoding);
    let cases = [
        (door.post(PROTOBUF, "nonsense"), 400, "malformed"),
        (door.post(JSON, "{\"resourceSpans\": 7}"), 400, "malformed"),
        (door.post(PROTOBUF, "nonsense").header("content-encoding", "gzip"), 400, "malformed"),
        (door.post("text/plain", Vec::new()), 415, "media_type"),
        (door.client.post(&door.url), 415, "media_type"),
        (with_encoding("br"), 415, "encoding"),
        (door.post(PROTOBUF, large.clone()), 413, "too_large"),
        (door.post(PROTOBUF, gzip(&large)).header("content-encoding", "gzip"), 413, "too_large"),
        (door.client.get(&door.url), 405, "method"),
        (door.client.post(door.url.replace("/v1/traces", "/v1/metrics")), 404, "not_found"),
    ];
    for (request, status, reason) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{reason}");
        let body = response.bytes().await.unwrap();
        assert!(!body.is_empty(), "{reason} is explained");
    }
    for (reason, count) in [("malformed", 3), ("media_type", 2), ("too_large", 2), ("method", 1)] {
        door.counted(&format!(
            "scenario_worker_receiver_requests_refused_total{{reason=\"{reason}\"}} {count}"
        ));
    }
}

#[tokio::test]
async fn spans_of_nobody_are_refused_in_the_format_of_the_request() {
    let door = Door::open().await;
    let body = request(&[7; 16], &[(1, 9), (2, 9)]).encode_to_vec();
    assert_eq!(rejected(door.post(PROTOBUF, body.clone()).send().await.unwrap()).await, 2);
    let packed = door.post(PROTOBUF, gzip(&body)).header("content-encoding", "gzip");
    assert_eq!(rejected(packed.send().await.unwrap()).await, 2);
    let span =
        json!({ "traceId": "07070707070707070707070707070707", "spanId": "0101010101010101", "name": "x" });
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] }).to_string();
    let response = door.post(JSON, body).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &JSON.parse().unwrap())
    );
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("no run"), "{answer}");
    door.counted("scenario_worker_spans_refused_total{reason=\"unknown_trace\"} 5");
    assert_eq!(
        rejected(door.post(PROTOBUF, request(&[7; 3], &[(1, 9)]).encode_to_vec()).send().await.unwrap())
            .await,
        1
    );
    door.counted("scenario_worker_spans_refused_total{reason=\"invalid\"} 1");
    assert_eq!(rejected(door.post(PROTOBUF, Vec::new()).send().await.unwrap()).await, 0);
}

#[tokio::test]
async fn who_lacks_the_token_sends_nothing_and_who_can_ask_nobody_sends_back() {
    let door = Door::open_with(Others { reachable: false }, Some("right")).await;
    let body = || request(&[7; 16], &[(1, 9)]).encode_to_vec();
    for given in [None, Some("Bearer wrong"), Some("right")] {
        let request = door.post(PROTOBUF, body());
        let request =
            given.into_iter().fold(request, |request, given| request.header("authorization", given));
        assert_eq!(request.send().await.unwrap().status(), 401, "{given:?}");
    }
    let response = door.post(PROTOBUF, body()).header("authorization", "bearer right").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    door.counted("scenario_worker_receiver_requests_refused_total{reason=\"unreachable\"} 1");
}

#[tokio::test]
async fn a_run_takes_the_spans_of_its_trace_for_as_long_as_it_lasts_and_its_receipt_has_them() {
    let (door, collector) = (Door::open().await, OtlpReceiver::start(Mode::Ok).await);
    let factory = factory().receiving(door.hub.clone(), std::time::Duration::ZERO);
    let spec = spec("acme", "mine", Some(destination(&collector, "key")));
    let trace_key = trace_id(&spec.request);
    let trace = factory.start(spec);
    let call = trace.root().child(scenario_worker::execution::types::SpanStart::Target {
        target: target(),
        transcript: transcript(&[]),
    });
    let below = call.context().span_id[..].to_vec();
    let mut sent = request(&trace_key, &[(2, 1), (1, 0)]);
    sent.resource_spans[0].scope_spans[0].spans[1].parent_span_id = below;
    for _ in 0..2 {
        assert_eq!(rejected(door.post(PROTOBUF, sent.encode_to_vec()).send().await.unwrap()).await, 0);
    }
    let heard = trace.target_spans().unwrap().below(&hex::encode(call.context().span_id)).await;
    assert_eq!((heard.settled, heard.work.len()), (true, 2));
    call.end(said("Hello", 1));
    let receipt = trace.finish(scenario_worker::execution::types::SpanEnd::Judged(judgement())).await;
    assert_eq!((receipt.spans, receipt.received, receipt.exported), (4, 2, 4), "{receipt:?}");
    assert_eq!(collector.spans().len(), 4);
    assert_eq!(rejected(door.post(PROTOBUF, sent.encode_to_vec()).send().await.unwrap()).await, 2);
}
