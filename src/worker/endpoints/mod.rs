//! The NATS micro service: schedule, cancel, status. Whoever has no wish to know streams asks here.

mod answers;
mod refusal;

use std::collections::HashMap;
use std::time::Duration;

use async_nats::Message;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::{Request, Service, ServiceExt as _};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use tokio_util::sync::CancellationToken;

use self::refusal::Refusal;
use crate::events::{schema, subjects};
use crate::queue::{Connection, RunStates, Scheduler};
use crate::telemetry::metrics::Metrics;

/// Name of the service, as `$SRV.INFO` shows it.
const NAME: &str = "scenario-worker";
/// What it is, as `$SRV.INFO` shows it.
const DESCRIPTION: &str = "Schedules, cancels and looks up runs of AI-agent scenarios";
/// Requests that this process answers at one time; more of them wait.
const AT_ONCE: usize = 32;
/// Time for the answers under way when the worker stops. Who hears nothing may ask again.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Beginnings of subjects that are no place for an answer: with the worker's rights, an answer there would be a
/// message to the server or to other workers.
const NO_PLACES_FOR_ANSWERS: [&str; 2] = ["$", "scenario."];

/// What arrives, with what is asked for.
type Requests = BoxStream<'static, (Call, Request)>;

/// The service cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("the service {NAME} cannot listen for requests")]
pub struct EndpointsError(#[source] async_nats::Error);

/// Answers requests.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The broker.
    pub connection: Connection,
    /// Schedules runs.
    pub scheduler: Scheduler,
    /// Knows runs.
    pub states: RunStates,
    /// What is counted.
    pub metrics: Metrics,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Call {
    Schedule,
    Cancel,
    Status,
}

impl Call {
    const ALL: [Self; 3] = [Self::Schedule, Self::Cancel, Self::Status];

    fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Cancel => "cancel",
            Self::Status => "status",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Schedule => subjects::SERVICE_SCHEDULE,
            Self::Cancel => subjects::SERVICE_CANCEL,
            Self::Status => subjects::SERVICE_STATUS,
        }
    }

    /// What its requests and answers look like, for who reads `$SRV.INFO`.
    fn metadata(self) -> HashMap<String, String> {
        let (request, response) = match self {
            Self::Schedule => (schema::RUN_REQUESTED, schema::SCHEDULE_REPLY),
            Self::Cancel => (schema::CANCEL_REQUESTED, schema::CANCEL_REPLY),
            Self::Status => (schema::STATUS_REQUEST, schema::STATUS_REPLY),
        };
        let schemas = [
            ("request_schema", request),
            ("response_schema", response),
            ("error_schema", schema::ERROR_REPLY),
        ];
        schemas.map(|(name, of)| (name.to_owned(), schema::id(of))).into()
    }
}

impl Endpoints {
    /// Subscribes. When this returns, the server knows that there is somebody to answer.
    ///
    /// # Errors
    /// [`EndpointsError`] if the connection takes no subscription.
    pub async fn listen(self) -> Result<Listening, EndpointsError> {
        let (service, requests) = self.subscribe().await.map_err(EndpointsError)?;
        self.connection.client.flush().await.map_err(|error| EndpointsError(error.into()))?;
        Ok(Listening { endpoints: self, service, requests })
    }

    async fn subscribe(&self) -> Result<(Service, Requests), async_nats::Error> {
        let builder = self.connection.client.service_builder().description(DESCRIPTION);
        let service = builder.start(NAME, env!("CARGO_PKG_VERSION")).await?;
        let mut endpoints = Vec::new();
        for call in Call::ALL {
            let endpoint = service.endpoint_builder().name(call.name()).metadata(call.metadata());
            let endpoint: Endpoint = endpoint.add(call.subject()).await?;
            endpoints.push(endpoint.map(move |request| (call, request)).boxed());
        }
        Ok((service, select_all(endpoints).boxed()))
    }

    async fn serve(&self, call: Call, request: Request) {
        let subject = call.subject();
        if !is_answerable(&request.message) {
            tracing::warn!(subject, reply = ?request.message.reply, "a request without a place for its answer is dropped");
            return;
        }
        let answered = match self.answer(call, &request.message).await {
            Ok(body) => request.respond(Ok(body)).await,
            Err(refusal) => refusal.answer(&self.connection.client, request).await,
        };
        if let Err(error) = answered {
            tracing::warn!(subject, %error, "a request to the service could not be answered");
        }
    }

    async fn answer(&self, call: Call, message: &Message) -> Result<Bytes, Refusal> {
        match call {
            Call::Schedule => self.schedule(message).await,
            Call::Cancel => self.cancel(&message.payload).await,
            Call::Status => self.status(&message.payload).await,
        }
    }
}

/// Endpoints that requests arrive at.
pub struct Listening {
    endpoints: Endpoints,
    service: Service,
    requests: Requests,
}

impl Listening {
    /// Answers until `stop` fires, then finishes the answers under way.
    pub async fn run(self, stop: CancellationToken) {
        let Self { endpoints, service, requests } = self;
        let cut_off = Box::pin(cut_off(endpoints.connection.clone(), stop.clone()));
        let answers = requests.take_until(cut_off).for_each_concurrent(AT_ONCE, |(call, request)| {
            let endpoints = endpoints.clone();
            async move { endpoints.serve(call, request).await }
        });
        tokio::pin!(answers);
        if stop.run_until_cancelled(&mut answers).await.is_some() {
            // The connection is closed for good.
            return;
        }
        if let Err(error) = service.stop().await {
            tracing::warn!(%error, "the service did not end as it should");
        }
        if tokio::time::timeout(STOP_PATIENCE, answers).await.is_err() {
            tracing::warn!("requests to the service were not answered because the worker stops");
        }
    }
}

/// Ends when the worker is told to stop and the broker is away: subscriptions end by its word, so there is no end to wait
/// for.
async fn cut_off(connection: Connection, told: CancellationToken) {
    told.cancelled().await;
    connection.lost().await;
}

fn is_answerable(message: &Message) -> bool {
    let is_place = |reply: &str| !NO_PLACES_FOR_ANSWERS.iter().any(|beginning| reply.starts_with(beginning));
    message.reply.as_ref().is_some_and(|reply| is_place(reply))
}
