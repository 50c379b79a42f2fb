//! An HTTP agent under test: answers, and remembers what it was asked and how many asked at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The agent on a socket of its own.
pub(crate) struct Shop {
    url: String,
    counter: Arc<Counter>,
}

struct Counter {
    questions: Mutex<Vec<(HeaderMap, Value)>>,
    now: AtomicUsize,
    most: AtomicUsize,
    takes: Duration,
    open: watch::Sender<bool>,
    /// So many are let in before the doors are opened.
    early: usize,
}

impl Shop {
    /// An agent that takes some time for every answer.
    pub(crate) async fn open(takes: Duration) -> Self {
        Self::start(takes, true, 0).await
    }

    /// An agent that answers nobody before [`Shop::open_doors`].
    pub(crate) async fn closed() -> Self {
        Self::start(Duration::ZERO, false, 0).await
    }

    /// An agent that answers so many questions and no more before [`Shop::open_doors`].
    pub(crate) async fn closed_behind(early: usize) -> Self {
        Self::start(Duration::ZERO, false, early).await
    }

    async fn start(takes: Duration, open: bool, early: usize) -> Self {
        let counter = Arc::new(Counter {
            questions: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            takes,
            open: watch::Sender::new(open),
            early,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/chat", listener.local_addr().unwrap());
        let router = Router::new().route("/chat", post(answer)).with_state(counter.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, counter }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Lets everybody in who waits.
    pub(crate) fn open_doors(&self) {
        self.counter.open.send_replace(true);
    }

    /// What it was asked: headers and body.
    pub(crate) fn questions(&self) -> Vec<(HeaderMap, Value)> {
        self.counter.questions.lock().unwrap().clone()
    }

    /// The most questions that were open at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.counter.most.load(Ordering::SeqCst)
    }
}

async fn answer(
    State(counter): State<Arc<Counter>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    let number = {
        let mut questions = counter.questions.lock().unwrap();
        questions.push((headers, body));
        questions.len()
    };
    let now = counter.now.fetch_add(1, Ordering::SeqCst) + 1;
    counter.most.fetch_max(now, Ordering::SeqCst);
    let _ = counter.open.subscribe().wait_for(|open| *open || number <= counter.early).await;
    tokio::time::sleep(counter.takes).await;
    counter.now.fetch_sub(1, Ordering::SeqCst);
    Json(json!({ "reply": "I am sorry, I refund you." }))
}
