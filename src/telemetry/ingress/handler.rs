//! One request: who sends it, how large it may be, what it has, and what becomes of it.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, Method, Request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use sha2::{Digest as _, Sha256};

use super::answer::{Format, Problem, taken};
use super::body::{MAX_BODY_BYTES, Packing, collect, decode, format, packing};
use super::bundle::Sorted;
use super::reception::{Reception, Refusal};
use super::room::{Room, Share};
use super::routing::Routing;
use crate::definitions::Secret;
use crate::telemetry::metrics::Metrics;

/// Where spans are sent (OTLP over HTTP).
const PATH: &str = "/v1/traces";
/// Time for a whole body to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);
/// Bodies above this many bytes are read on a thread for blocking work, packed ones always.
const READ_ELSEWHERE_BYTES: usize = 64 * 1024;
/// The scheme by which a token is sent (RFC 6750), in whatever case it is written (RFC 9110, section 11.1).
const BEARER: &str = "Bearer";

/// Answers requests.
#[derive(Debug)]
pub(super) struct Handler {
    routing: Routing,
    token: Option<Secret>,
    metrics: Metrics,
    room: Room,
}

impl Handler {
    pub(super) fn new(routing: Routing, token: Option<Secret>, metrics: Metrics) -> Self {
        metrics.show_ingress(Refusal::ALL.map(Refusal::as_str), Problem::ALL.map(Problem::as_str));
        Self { routing, token, metrics, room: Room::default() }
    }

    /// Answers one request. Each refusal is counted.
    pub(super) async fn handle(&self, request: Request<Body>) -> Response {
        let written = format(request.headers()).unwrap_or(Format::Protobuf);
        match self.receive(request).await {
            Ok(reception) => {
                self.metrics.spans_received(reception.taken);
                for (reason, spans) in &reception.refused {
                    self.metrics.spans_refused(reason.as_str(), *spans);
                }
                taken(&reception, written)
            }
            Err(problem) => {
                self.metrics.receiver_request_refused(problem.as_str());
                problem.answer(written)
            }
        }
    }

    async fn receive(&self, request: Request<Body>) -> Result<Reception, Problem> {
        let (parts, body) = request.into_parts();
        if parts.uri.path() != PATH {
            return Err(Problem::NotHere);
        }
        if parts.method != Method::POST {
            return Err(Problem::Method);
        }
        self.admit(&parts.headers)?;
        let (format, packing) = (format(&parts.headers)?, packing(&parts.headers)?);
        told_length_fits(&parts.headers)?;
        let mut share = self.room.share();
        let body =
            tokio::time::timeout(BODY_TIME, collect(body, &mut share)).await.map_err(|_| Problem::Slow)??;
        // What is read keeps its room until it is delivered.
        let (request, _share) = read(body, packing, format, share).await?;
        self.deliver(request).await
    }

    async fn deliver(&self, request: ExportTraceServiceRequest) -> Result<Reception, Problem> {
        let Sorted { bundles, refused, .. } = Sorted::new(request);
        let is_of_one_run = bundles.len() == 1;
        let delivered = self.routing.deliver(bundles).await.map_err(|error| {
            tracing::warn!(error = %crate::text::chain(&error), "spans of targets are sent back, to be sent again");
            Problem::Unreachable
        })?;
        // Whoever sends for one run may send again. Spans of others are not held up for it.
        if is_of_one_run && delivered.refused.contains_key(&Refusal::Busy) {
            return Err(Problem::Busy);
        }
        Ok(delivered.plus(refused))
    }

    /// Digests are compared, so that the time which that takes says nothing of the token.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
        let is_it = given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token.expose()));
        if is_it { Ok(()) } else { Err(Problem::Unauthorized) }
    }
}

/// The token of a header.
fn bearer(given: &str) -> Option<&str> {
    let (scheme, token) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_start_matches(' '))
}

/// A body that says itself that it is too large is not waited for.
fn told_length_fits(headers: &HeaderMap) -> Result<(), Problem> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > MAX_BODY_BYTES) { Err(Problem::TooLarge) } else { Ok(()) }
}

async fn read(
    body: Vec<u8>,
    packing: Packing,
    format: Format,
    mut share: Share,
) -> Result<(ExportTraceServiceRequest, Share), Problem> {
    if packing == Packing::Plain && body.len() <= READ_ELSEWHERE_BYTES {
        return decode(&body, packing, format, &mut share).map(|request| (request, share));
    }
    let reading = tokio::task::spawn_blocking(move || {
        decode(&body, packing, format, &mut share).map(|request| (request, share))
    });
    reading.await.unwrap_or(Err(Problem::Malformed))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use axum::body::Bytes;
    use futures::StreamExt as _;
    use http::StatusCode;

    use super::super::bundle::Bundle;
    use super::super::room::ROOM_BYTES;
    use super::*;
    use crate::execution::failure::Unavailable;
    use crate::telemetry::ingress::{Elsewhere, Hub};

    #[derive(Debug)]
    struct Nowhere;

    #[async_trait]
    impl Elsewhere for Nowhere {
        async fn offer(&self, _: &Bundle) -> Result<Option<Reception>, Unavailable> {
            Ok(None)
        }
    }

    fn handler() -> Handler {
        let routing = Routing { hub: Hub::default(), elsewhere: Arc::new(Nowhere) };
        Handler::new(routing, None, Metrics::new().unwrap())
    }

    fn request(length: Option<usize>, body: Body) -> Request<Body> {
        let request = Request::post(PATH).header("content-type", "application/x-protobuf");
        let request =
            length.into_iter().fold(request, |request, bytes| request.header(CONTENT_LENGTH, bytes));
        request.body(body).unwrap()
    }

    fn never() -> Body {
        Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for_for_ever() {
        let handler = handler();
        assert_eq!(handler.handle(request(None, never())).await.status(), StatusCode::REQUEST_TIMEOUT);
        let rendered = handler.metrics.render();
        assert!(
            rendered.contains("scenario_worker_receiver_requests_refused_total{reason=\"slow\"} 1"),
            "{rendered}"
        );
    }

    /// `bytes` of a body, and nothing any more.
    fn stuck(bytes: usize) -> Body {
        let begin = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; bytes]))]);
        Body::from_stream(begin.chain(futures::stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_slowly_holds_no_room_that_others_need() {
        let handler = handler();
        let slow = futures::future::join_all((0..500).map(|_| handler.handle(request(None, stuck(1)))));
        let fast = async {
            tokio::time::sleep(BODY_TIME / 2).await;
            for _ in 0..20 {
                assert_eq!(handler.handle(request(None, Body::empty())).await.status(), StatusCode::OK);
            }
        };
        let (slow, ()) = tokio::join!(slow, fast);
        assert!(slow.iter().all(|answer| answer.status() == StatusCode::REQUEST_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_have_so_much_room_together_and_who_finds_none_may_come_again() {
        let handler = handler();
        let fitting = ROOM_BYTES / MAX_BODY_BYTES;
        let waiting = futures::future::join_all(
            (0..fitting).map(|_| handler.handle(request(None, stuck(MAX_BODY_BYTES)))),
        );
        let late = async {
            tokio::time::sleep(BODY_TIME / 2).await;
            let refused = handler.handle(request(Some(1), Body::from("x"))).await;
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(refused.headers().contains_key("retry-after"));
        };
        tokio::join!(waiting, late);
        assert_eq!(handler.handle(request(Some(0), Body::empty())).await.status(), StatusCode::OK);
        let large = handler.handle(request(Some(MAX_BODY_BYTES + 1), Body::empty())).await;
        assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn a_scheme_is_known_in_any_case() {
        for given in ["Bearer right", "bearer right", "BEARER   right"] {
            assert_eq!(bearer(given), Some("right"), "{given}");
        }
        for given in ["right", "Basic right", "Bearerright", ""] {
            assert_eq!(bearer(given), None, "{given}");
        }
    }
}
