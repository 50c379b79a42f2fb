//! The way out: what is called, what is followed, what is taken along.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::HeaderValue;
use scenario_worker::egress::{Client, ClientError, EgressPolicy, Redirects, Refusal, Refused};
use tokio::net::TcpListener;
use url::Url;

/// What a server was asked: method, path, headers, body.
type Asked = (Method, String, HeaderMap, Bytes);

/// A server that redirects as the path says: `/302/to` to whatever `to` is set to, `/hops/3` three times to itself.
#[derive(Clone, Default)]
struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    to: Arc<Mutex<String>>,
    address: Arc<Mutex<String>>,
}

impl Server {
    async fn start() -> Self {
        let server = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *server.address.lock().unwrap() = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .route("/{kind}/{number}", any(redirect))
            .route("/end", any(end))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address.lock().unwrap())).unwrap()
    }

    fn leads_to(&self, url: &str) {
        url.clone_into(&mut self.to.lock().unwrap());
    }

    fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().unwrap().clone()
    }
}

async fn redirect(
    State(server): State<Server>,
    Path((kind, number)): Path<(String, u16)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    server.asked.lock().unwrap().push((method, kind.clone(), headers, body));
    let (status, to) = match (kind.as_str(), number) {
        ("hops", 0) => return "arrived".into_response(),
        ("hops", left) => (302, format!("{}", left - 1)),
        (status, _) => (status.parse().unwrap(), server.to.lock().unwrap().clone()),
    };
    (StatusCode::from_u16(status).unwrap(), [(LOCATION, to)]).into_response()
}

async fn end(State(server): State<Server>, method: Method, headers: HeaderMap, body: Bytes) -> &'static str {
    server.asked.lock().unwrap().push((method, "end".into(), headers, body));
    "arrived"
}

fn client(private_networks: bool, allowed: &[&str]) -> Client {
    Client::new(EgressPolicy::new(private_networks, allowed).unwrap(), None).unwrap()
}

/// Posts with every kind of credential.
async fn post(client: &Client, url: Url, redirects: Redirects) -> Result<reqwest::Response, ClientError> {
    let mut own = HeaderValue::from_static("own-key");
    own.set_sensitive(true);
    let request = client
        .request(Method::POST, url)
        .bearer_auth("token")
        .header("cookie", "session=1")
        .header("x-own", own)
        .header("x-plain", "plain")
        .header("content-type", "application/json")
        .body("{}")
        .build()
        .unwrap();
    client.execute(request, redirects).await
}

#[tokio::test]
async fn a_redirect_is_an_answer_unless_it_is_to_be_followed() {
    let server = Server::start().await;
    server.leads_to("/end");
    let answer = post(&client(true, &[]), server.url("/302/1"), Redirects::Answer).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let answer = post(&client(true, &[]), server.url("/302/1"), Redirects::Follow).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "arrived");
}

#[tokio::test]
async fn within_an_origin_credentials_go_along_and_beyond_it_they_do_not() {
    let (server, other) = (Server::start().await, Server::start().await);
    server.leads_to("/end");
    post(&client(true, &[]), server.url("/307/1"), Redirects::Follow).await.unwrap();
    let (method, _, headers, body) = server.last();
    assert_eq!((method, body.as_ref()), (Method::POST, b"{}".as_slice()));
    assert!(["authorization", "cookie", "x-own", "x-plain"].iter().all(|name| headers.contains_key(*name)));
    server.leads_to(other.url("/end").as_str());
    post(&client(true, &[]), server.url("/307/1"), Redirects::Follow).await.unwrap();
    let (_, _, headers, _) = other.last();
    assert!(
        ["authorization", "cookie", "x-own"].iter().all(|name| !headers.contains_key(*name)),
        "{headers:?}"
    );
    assert!(headers.contains_key("x-plain"));
}

#[tokio::test]
async fn a_post_that_is_sent_elsewhere_becomes_a_get_unless_the_status_says_otherwise() {
    let server = Server::start().await;
    server.leads_to("/end");
    for (status, method) in
        [(301, Method::GET), (302, Method::GET), (303, Method::GET), (307, Method::POST), (308, Method::POST)]
    {
        post(&client(true, &[]), server.url(&format!("/{status}/1")), Redirects::Follow).await.unwrap();
        let (seen, _, headers, body) = server.last();
        assert_eq!((seen, body.is_empty()), (method.clone(), method == Method::GET), "{status}");
        assert_eq!(headers.contains_key("content-type"), method == Method::POST, "{status}");
    }
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let (server, client) = (Server::start().await, client(true, &[]));
    let answer = post(&client, server.url("/hops/10"), Redirects::Follow).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "arrived");
    let error = post(&client, server.url("/hops/11"), Redirects::Follow).await.unwrap_err();
    assert!(matches!(error, ClientError::TooManyRedirects), "{error}");
}

#[tokio::test]
async fn a_redirect_to_where_nobody_may_go_is_refused() {
    let (server, client) = (Server::start().await, client(true, &[]));
    for to in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://metadata.google.internal/",
    ] {
        server.leads_to(to);
        let error = post(&client, server.url("/302/1"), Redirects::Follow).await.unwrap_err();
        assert!(error.to_string().contains("metadata"), "{to}: {error}");
    }
    server.leads_to("file:///etc/passwd");
    let error = post(&client, server.url("/302/1"), Redirects::Follow).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refused::Scheme(_))), "{error}");
}

#[tokio::test]
async fn a_name_is_refused_for_where_it_leads_and_allowed_by_name() {
    let server = Server::start().await;
    let port = server.url("/").port().unwrap();
    let by_name = Url::parse(&format!("http://localhost:{port}/end")).unwrap();
    let error = post(&client(false, &[]), by_name.clone(), Redirects::Answer).await.unwrap_err();
    let ClientError::Refused(Refused::Host { host, address: Some(_), refusal }) = error else {
        panic!("{error}")
    };
    assert_eq!((host.as_str(), refusal), ("localhost", Refusal::Private));
    let error = post(&client(false, &[]), server.url("/end"), Redirects::Answer).await.unwrap_err();
    assert!(error.to_string().contains("private"), "{error}");
    assert!(server.asked.lock().unwrap().is_empty(), "nobody is called");
    post(&client(false, &["localhost"]), by_name, Redirects::Answer).await.unwrap();
}
