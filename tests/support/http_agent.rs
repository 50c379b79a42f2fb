//! An HTTP agent on a real socket that answers what a test tells it to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One read from a socket, in bytes.
const READ_SIZE: usize = 16 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct AgentRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl AgentRequest {
    /// Every value of a header.
    pub(crate) fn header_values(&self, name: &str) -> Vec<&str> {
        let matching = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        match self.header_values(name).as_slice() {
            [] => None,
            [one] => Some(*one),
            several => panic!("{name} is there several times: {several:?}"),
        }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

/// What the agent does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A reply of known length.
    Reply { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// 200 with this text on a connection that is kept, and closed when the next request has arrived on it.
    Kept(&'static str),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, a piece at a time, then nothing for as long as the client waits.
    Stall(Vec<Vec<u8>>),
    /// These bytes, then the same other ones for ever.
    Forever(Vec<u8>, Vec<u8>),
    /// These bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// A reply whose body never ends.
    Endless { status: u16 },
    /// Nothing, for as long as the client waits.
    Hang,
}

impl Answer {
    /// 200 with JSON.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::typed("application/json", body.to_string())
    }

    /// 200 with a body of `content_type`.
    pub(crate) fn typed(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self::Reply { status: 200, headers, body: body.into() }
    }

    /// A status with a text.
    pub(crate) fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply { status, headers: Vec::new(), body: body.into() }
    }
}

type Script = dyn Fn(&AgentRequest) -> Answer + Send + Sync;

/// A running agent. It ends when it is dropped.
pub(crate) struct HttpAgent {
    url: String,
    requests: Arc<Mutex<Vec<AgentRequest>>>,
    accepting: JoinHandle<()>,
}

impl HttpAgent {
    /// Starts an agent that answers by `script`.
    pub(crate) async fn start(script: impl Fn(&AgentRequest) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept(listener, Arc::new(script), Arc::clone(&requests)));
        Self { url, requests, accepting }
    }

    /// Its origin.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it was asked, oldest first.
    pub(crate) fn requests(&self) -> Vec<AgentRequest> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for HttpAgent {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>, requests: Arc<Mutex<Vec<AgentRequest>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&requests)));
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, requests: Arc<Mutex<Vec<AgentRequest>>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    requests.lock().unwrap().push(request.clone());
    let next = script(&request);
    let is_kept = matches!(next, Answer::Kept(_));
    answer(&mut stream, next).await;
    if is_kept && let Some(request) = read_request(&mut stream).await {
        requests.lock().unwrap().push(request);
    }
}

async fn answer(stream: &mut TcpStream, answer: Answer) {
    match answer {
        Answer::Reply { status, headers, body } => {
            let lines: Vec<String> =
                headers.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
            let length = format!("content-length: {}\r\nconnection: close\r\n", body.len());
            let head = format!("HTTP/1.1 {status} x\r\n{length}{}\r\n", lines.concat());
            write(stream, &[head.as_bytes(), &body].concat()).await;
        }
        Answer::Kept(text) => {
            let head = format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            write(stream, head.as_bytes()).await;
        }
        Answer::Raw(bytes) => drop(write(stream, &bytes).await),
        Answer::Stall(pieces) => {
            for piece in pieces {
                write(stream, &piece).await;
                tokio::task::yield_now().await;
            }
            wait_for_the_end(stream).await;
        }
        Answer::Forever(begin, again) => forever(stream, &begin, &again).await,
        Answer::Reset(bytes) => {
            write(stream, &bytes).await;
            stream.set_zero_linger().unwrap();
        }
        Answer::Endless { status } => {
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n\r\n");
            forever(stream, head.as_bytes(), &[b'x'; READ_SIZE]).await;
        }
        Answer::Hang => wait_for_the_end(stream).await,
    }
}

async fn forever(stream: &mut TcpStream, begin: &[u8], again: &[u8]) {
    let mut open = write(stream, begin).await;
    while open {
        open = write(stream, again).await;
    }
}

/// The client's end of the connection is the only way out.
async fn wait_for_the_end(stream: &mut TcpStream) {
    while !matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)) {}
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok()
}

async fn read_request(stream: &mut TcpStream) -> Option<AgentRequest> {
    let mut bytes = Vec::new();
    loop {
        if let Some(request) = parse(&bytes) {
            return Some(request);
        }
        let mut chunk = vec![0; READ_SIZE];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The request, if all of it is there.
fn parse(bytes: &[u8]) -> Option<AgentRequest> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (first.next()?, first.next()?);
    let pair = |line: &str| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
    let headers = lines.filter_map(pair).collect();
    let mut request = AgentRequest { method, target, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |value| value.parse().unwrap());
    let body = bytes[end + 4..].get(..length)?;
    request.body = String::from_utf8(body.to_vec()).unwrap();
    Some(request)
}
