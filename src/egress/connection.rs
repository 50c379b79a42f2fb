//! Connections that are kept for the next request, and may be closed by the other side at any moment.

use std::cell::Cell;
use std::error::Error;
use std::io;

use reqwest::{Client, Request, Response};
use tower::util::MapResponseLayer;

tokio::task_local! {
    /// Whether a connection was made for the request that this task sends.
    static MADE: Cell<bool>;
}

/// What came of a request, and whether a connection was made for it.
pub(super) struct Sent {
    pub(super) answer: Result<Response, reqwest::Error>,
    pub(super) made: bool,
}

/// `builder`, with connections that are noted when they are made.
pub(super) fn noting(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.connector_layer(MapResponseLayer::new(noted))
}

/// The connection is made where it is waited for: in the task of the request that it is for. One that took so long that
/// another became free goes on being made elsewhere, for whoever comes next.
fn noted<C>(connection: C) -> C {
    // Nobody asks where no request is waiting.
    MADE.try_with(|made| made.set(true)).unwrap_or_default();
    connection
}

/// Sends `request`.
pub(super) async fn send(http: &Client, request: Request) -> Sent {
    let sending = async {
        let answer = http.execute(request).await;
        Sent { answer, made: MADE.with(Cell::get) }
    };
    MADE.scope(Cell::new(false), sending).await
}

/// Whether the connection was closed where an answer should have begun.
pub(super) fn was_closed(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let incomplete =
            error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        if incomplete || error.downcast_ref::<io::Error>().is_some_and(is_end) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}
