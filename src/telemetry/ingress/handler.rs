//! One request: who sends it, how large it may be, what it has, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, Method, Request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Format, Problem, taken};
use super::body::{MAX_BODY_BYTES, Packing, decode, format, packing};
use super::bundle::Bundle;
use super::reception::{Reception, Refusal};
use super::routing::Routing;
use crate::definitions::Secret;
use crate::telemetry::metrics::Metrics;

/// Where spans are sent (OTLP over HTTP).
const PATH: &str = "/v1/traces";
/// The most bytes of bodies that are looked at at one time: 32 MiB. Spans take several times as much once they are read.
const ROOM_BYTES: usize = 32 * 1024 * 1024;
/// What bodies are counted in: a permit stands for 1 KiB, because there are fewer permits than bytes.
const ROOM_UNIT: usize = 1024;
/// Time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);
/// Bodies above this many bytes are read on a thread for blocking work, packed ones always.
const READ_ELSEWHERE_BYTES: usize = 64 * 1024;
/// How a token is sent.
const BEARER: &str = "Bearer ";

/// Answers requests.
#[derive(Debug)]
pub(super) struct Handler {
    routing: Routing,
    token: Option<Secret>,
    metrics: Metrics,
    room: Arc<Semaphore>,
}

impl Handler {
    pub(super) fn new(routing: Routing, token: Option<Secret>, metrics: Metrics) -> Self {
        let room = Arc::new(Semaphore::new(ROOM_BYTES / ROOM_UNIT));
        metrics.show_ingress(Refusal::ALL.map(Refusal::as_str), Problem::ALL.map(Problem::as_str));
        Self { routing, token, metrics, room }
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
        let _room = self.room_for(&parts.headers)?;
        let request = read(collect(body).await?, packing, format).await?;
        self.deliver(request).await
    }

    async fn deliver(&self, request: ExportTraceServiceRequest) -> Result<Reception, Problem> {
        let (bundles, invalid) = Bundle::sort(request);
        let delivered = self.routing.deliver(bundles).await.map_err(|error| {
            tracing::warn!(error = %crate::text::chain(&error), "spans of targets are sent back, to be sent again");
            Problem::Unreachable
        })?;
        Ok(delivered.plus(Reception::refusal(Refusal::Invalid, invalid)))
    }

    /// Digests are compared, so that the time which that takes says nothing of the token.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix(BEARER));
        let is_it = given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token.expose()));
        if is_it { Ok(()) } else { Err(Problem::Unauthorized) }
    }

    /// Room for the body, by what it says of its length.
    fn room_for(&self, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Problem> {
        let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let length = told.unwrap_or(MAX_BODY_BYTES);
        if length > MAX_BODY_BYTES {
            return Err(Problem::TooLarge);
        }
        let units = u32::try_from(length.div_ceil(ROOM_UNIT)).map_err(|_| Problem::TooLarge)?;
        Arc::clone(&self.room).try_acquire_many_owned(units).map_err(|_| Problem::Busy)
    }
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let collected = tokio::time::timeout(BODY_TIME, to_bytes(body, MAX_BODY_BYTES)).await;
    collected.map_err(|_| Problem::Slow)?.map_err(|_| Problem::TooLarge)
}

async fn read(body: Bytes, packing: Packing, format: Format) -> Result<ExportTraceServiceRequest, Problem> {
    if packing == Packing::Plain && body.len() <= READ_ELSEWHERE_BYTES {
        return decode(&body, packing, format);
    }
    let reading = tokio::task::spawn_blocking(move || decode(&body, packing, format));
    reading.await.unwrap_or(Err(Problem::Malformed))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http::StatusCode;

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

    #[tokio::test(start_paused = true)]
    async fn bodies_have_so_much_room_together_and_who_finds_none_may_come_again() {
        let handler = handler();
        let fitting = ROOM_BYTES / MAX_BODY_BYTES;
        let waiting = futures::future::join_all((0..fitting).map(|_| handler.handle(request(None, never()))));
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
}
