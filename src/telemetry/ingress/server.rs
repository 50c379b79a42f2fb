//! Connections of those who send spans: so many at one time, none of them slow for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::handler::Handler;
use super::routing::Routing;
use crate::definitions::Secret;
use crate::telemetry::metrics::Metrics;

/// The most connections at one time; others wait to be accepted.
const MOST_CONNECTIONS: usize = 512;
/// How long a connection may take to send the head of a request, which includes the time between two requests.
const HEAD_TIME: Duration = Duration::from_mins(1);
/// How long the pause is after a connection could not be accepted, because the machine has no more of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes spans on a socket.
#[derive(Debug)]
pub struct Ingress(Arc<Handler>);

impl Ingress {
    /// Hands what it takes to `routing`. With a `token`, only from those who have it.
    #[must_use]
    pub fn new(routing: Routing, token: Option<Secret>, metrics: Metrics) -> Self {
        Self(Arc::new(Handler::new(routing, token, metrics)))
    }

    /// Serves until `stop` fires. Requests under way are cut off then: who hears nothing sends again.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let (room, mut connections) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), JoinSet::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = connections.join_next() => {}
                accepted = accept(&listener, &room) => match accepted {
                    Ok((stream, place)) => {
                        connections.spawn(connection(stream, place, Arc::clone(&self.0)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the receiver of spans could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, _place: OwnedSemaphorePermit, handler: Arc<Handler>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, std::convert::Infallible>(handler.handle(request.map(Body::new)).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the receiver of spans ended early");
    }
}
