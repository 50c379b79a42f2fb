//! Sessions of HTTP agents: what is asked before the first turn and after the last, and what is kept between.

use scenario_worker::definitions::Secrets;
use scenario_worker::events::{Attribution, ProjectId, RunId, RunKey, TraceContext};
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::limits::Admission;
use scenario_worker::execution::ports::{SessionCall, TargetAdapter, TargetReply, TargetTurn};
use scenario_worker::execution::types::Session;
use serde_json::{Value, json};

use super::stage::{LINE, THREAD, TRACEPARENT, TRACESTATE, dialogue, failure, http_adapter, secrets, with};
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};
use crate::support::spans::Recorded;

/// An agent's adapter on its own, and what the run has of its session.
struct Play {
    adapter: Box<dyn TargetAdapter>,
    session: Option<Session>,
}

fn run() -> RunKey {
    RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse(THREAD).unwrap() }
}

fn context() -> TraceContext {
    TraceContext::from_headers(&[TRACEPARENT], &[TRACESTATE]).unwrap().unwrap()
}

impl Play {
    async fn of(config: Value, secrets: Secrets) -> Self {
        let adapter = http_adapter(config, secrets, json!({ "region": "eu/west" })).await.unwrap();
        Self { adapter, session: None }
    }

    async fn begin(&mut self) -> Result<(), RunFailure> {
        let (run, span) = (run(), Recorded::default().span(context()));
        let call = SessionCall { run: &run, span: &span };
        self.session = self.adapter.begin(call).await?;
        Ok(())
    }

    async fn turn(&mut self) -> Result<TargetReply, RunFailure> {
        let (run, span, transcript) = (run(), Recorded::default().span(context()), dialogue(LINE));
        let session = self.session.as_ref();
        let admission = Admission::default();
        let turn = TargetTurn {
            run: &run,
            turn: 2,
            transcript: &transcript,
            span: &span,
            session,
            admission,
            so_far: None,
        };
        let mut reply = self.adapter.reply(turn).await?;
        self.session = reply.session.take().or(self.session.take());
        Ok(reply)
    }

    /// Another worker goes on with what is stored.
    async fn moved(self, config: Value, secrets: Secrets) -> Self {
        let stored = serde_json::to_string(&self.session).unwrap();
        Self { session: serde_json::from_str(&stored).unwrap(), ..Self::of(config, secrets).await }
    }

    async fn end(self) -> Result<(), RunFailure> {
        let (run, span) = (run(), Recorded::default().span(context()));
        self.adapter.end(SessionCall { run: &run, span: &span }, self.session.unwrap()).await
    }
}

/// Opens conversation `c/1` with a header, two cookies and a number; answers `ok` elsewhere.
fn shop(request: &AgentRequest) -> Answer {
    if request.target != "/start?r=eu%2Fwest" {
        return Answer::json(&json!("ok"));
    }
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-session", "header-value".to_owned()),
        ("set-cookie", "sid=cookie-value; Path=/; HttpOnly".to_owned()),
        ("set-cookie", "gone=1; Max-Age=0".to_owned()),
    ];
    let body = json!({ "conversation": { "id": "c/1 \"x\"", "number": 7 } });
    Answer::Reply { status: 201, headers, body: body.to_string().into_bytes() }
}

fn definition(agent: &HttpAgent) -> Value {
    let url = agent.url();
    json!({
        "url": format!("{url}/chat/{{{{ captured.id }}}}"),
        "query": [{ "key": "c", "value": "{{ captured.id }}" }],
        "headers": [{ "key": "X-Session", "value": "{{ captured.token }}" }],
        "bodyTemplate": r#"{"id": "{{ captured.id }}", "number": {{ captured.number }}, "cookie": "{{ captured.sid }}"}"#,
        "auth": { "type": "bearer", "token": "{{ secrets.KEY }}" },
        "session": {
            "start": {
                "url": format!("{url}/start"),
                "query": [{ "key": "r", "value": "{{ params.region }}" }],
                "headers": [{ "key": "X-Thread", "value": "{{ threadId }}" }],
                "body": r#"{"thread": "{{ threadId }}"}"#,
                "capture": {
                    "id": "$.conversation.id", "number": "$.conversation.number",
                    "token": { "header": "X-Session" }, "sid": { "cookie": "sid" },
                },
            },
            "end": { "method": "DELETE", "url": format!("{url}/chat/{{{{ captured.id }}}}") },
        },
    })
}

fn key() -> Secrets {
    secrets([("KEY", "k-123456")])
}

#[tokio::test]
async fn a_session_is_opened_used_and_closed_also_by_another_worker() {
    let agent = HttpAgent::start(shop).await;
    let mut play = Play::of(definition(&agent), key()).await;
    play.begin().await.unwrap();
    play.turn().await.unwrap();
    let mut play = play.moved(definition(&agent), key()).await;
    play.turn().await.unwrap();
    play.end().await.unwrap();
    let requests = agent.requests();
    let [start, turn, again, end] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!((start.method.as_str(), start.json()), ("POST", json!({ "thread": THREAD })));
    assert_eq!((start.header("x-thread"), start.header("cookie")), (Some(THREAD), None));
    assert_eq!(start.header("idempotency-key"), Some("run-1:start"));
    assert_eq!(turn.target, "/chat/c%2F1%20%22x%22?c=c%2F1%20%22x%22");
    assert_eq!(turn.json(), json!({ "id": "c/1 \"x\"", "number": 7, "cookie": "cookie-value" }));
    assert_eq!(
        (turn.header("x-session"), turn.header("cookie")),
        (Some("header-value"), Some("sid=cookie-value"))
    );
    assert_eq!(
        (&again.target, &again.body, again.header("cookie")),
        (&turn.target, &turn.body, turn.header("cookie"))
    );
    assert_eq!(
        (end.method.as_str(), end.target.as_str(), end.body.as_str()),
        ("DELETE", "/chat/c%2F1%20%22x%22", "")
    );
    assert_eq!(
        (end.header("idempotency-key"), end.header("cookie")),
        (Some("run-1:end"), Some("sid=cookie-value"))
    );
    for request in &requests {
        assert_eq!(request.header("authorization"), Some("Bearer k-123456"));
        assert_eq!(request.header("traceparent"), Some(TRACEPARENT));
    }
}

#[tokio::test]
async fn an_agent_without_a_session_begins_none() {
    let agent = HttpAgent::start(shop).await;
    let mut play = Play::of(json!({ "url": agent.url() }), key()).await;
    play.begin().await.unwrap();
    assert!(play.session.is_none() && play.turn().await.unwrap().session.is_none());
    assert_eq!(agent.requests().len(), 1);
}

/// Sets a cookie with every answer: the number of the request.
async fn counting() -> HttpAgent {
    let count = std::sync::atomic::AtomicUsize::new(0);
    HttpAgent::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let headers = vec![("set-cookie", format!("n={number}")), ("set-cookie", "lang=en".to_owned())];
        Answer::Reply { status: 200, headers, body: b"fine".to_vec() }
    })
    .await
}

#[tokio::test]
async fn cookies_of_turns_are_kept_for_the_run_unless_the_definition_wants_none() {
    for (session, expected) in [
        (json!({}), [None, Some("mine=1; n=0; lang=en"), Some("mine=1; n=1; lang=en")]),
        (json!({ "cookies": false }), [None, Some("mine=1"), Some("mine=1")]),
    ] {
        let agent = counting().await;
        let own = json!([{ "key": "Cookie", "value": "mine=1" }]);
        let config = json!({ "url": agent.url(), "session": session, "headers": own });
        let mut play = Play::of(config, key()).await;
        play.begin().await.unwrap();
        for _ in 0..3 {
            play.turn().await.unwrap();
        }
        let sent = agent.requests();
        let sent: Vec<_> = sent.iter().map(|request| request.header("cookie")).collect();
        assert_eq!(sent, [expected[0].or(Some("mine=1")), expected[1], expected[2]]);
    }
}

/// Refuses a turn once, then takes it in, and answers it later, bit by bit. Each answer sets the cookie anew.
fn slow_desk(request: &AgentRequest) -> Answer {
    let again = request.header("cookie") != Some("step=started");
    let (status, cookie, body) = match request.target.as_str() {
        "/start" => (201, "started", json!({ "id": "c 1" }).to_string()),
        "/chat" if again => (202, "accepted", json!({ "job": "j/7" }).to_string()),
        "/chat" => (503, "refused", String::new()),
        _ => (200, "answered", "data: {\"t\":\"Su\"}\n\ndata: {\"t\":\"re\"}\n\n".to_owned()),
    };
    let kind = if status == 200 { "text/event-stream" } else { "application/json" };
    let headers = vec![("content-type", kind.to_owned()), ("set-cookie", format!("step={cookie}; Path=/"))];
    Answer::Reply { status, headers, body: body.into_bytes() }
}

#[tokio::test]
async fn every_answer_of_a_turn_may_set_cookies_and_a_look_goes_where_the_session_is() {
    let agent = HttpAgent::start(slow_desk).await;
    let url = agent.url();
    let config = json!({
        "url": format!("{url}/chat"),
        "session": { "start": { "url": format!("{url}/start"), "capture": { "id": "$.id" } } },
        "retries": { "on": [503] },
        "poll": { "url": "/jobs/{{ captured.id }}/{{ reply.job }}", "intervalSeconds": 0.1 },
        "stream": { "format": "sse", "delta": "$.t" },
    });
    let mut play = Play::of(config, key()).await;
    play.begin().await.unwrap();
    for _ in 0..2 {
        assert_eq!(play.turn().await.unwrap().content, "Sure");
    }
    let sent = agent.requests();
    let sent: Vec<_> =
        sent.iter().map(|r| (r.target.as_str(), r.header("cookie").unwrap_or_default())).collect();
    let (chat, look) = ("/chat", "/jobs/c%201/j%2F7");
    let first = [("/start", ""), (chat, "step=started"), (chat, "step=refused"), (look, "step=accepted")];
    assert_eq!(sent, [&first[..], &[(chat, "step=answered"), (look, "step=accepted")]].concat());
}

#[tokio::test]
async fn a_session_is_begun_and_ended_by_one_request_each_whatever_is_said_of_turns() {
    let agent = HttpAgent::start(|_| Answer::status(202, "{\"id\": 7}")).await;
    let url = agent.url();
    let config = json!({
        "url": url,
        "session": { "start": { "url": url, "capture": { "id": "$.id" } }, "end": { "url": url } },
        "status": { "success": [200] }, "retries": { "on": [202] }, "poll": {}, "stream": { "format": "ndjson", "delta": "$.t" },
    });
    let mut play = Play::of(config, key()).await;
    play.begin().await.unwrap();
    play.end().await.unwrap();
    let requests = agent.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|request| request.header("accept") != Some("application/x-ndjson, application/json;q=0.9"))
    );
}

#[tokio::test]
async fn a_cookie_of_one_host_is_not_sent_to_another() {
    let (agent, other) = (HttpAgent::start(shop).await, HttpAgent::start(shop).await);
    // The same server by another name.
    let elsewhere = other.url().replace("127.0.0.1", "localhost");
    let config = with(definition(&agent), json!({ "url": format!("{elsewhere}/chat") }));
    let mut play = Play::of(config, key()).await;
    play.begin().await.unwrap();
    play.turn().await.unwrap();
    assert_eq!(other.requests()[0].header("cookie"), None);
}

/// A login by a form, as browsers know it: the cookie comes with the answer that leads on.
fn form(home: String) -> impl Fn(&AgentRequest) -> Answer {
    move |request| match request.target.as_str() {
        "/login" => Answer::Reply {
            status: 302,
            headers: vec![
                ("set-cookie", "login=opened-1; Path=/".to_owned()),
                ("location", format!("{home}/home")),
            ],
            body: vec![],
        },
        _ => Answer::typed("text/plain", "fine"),
    }
}

#[tokio::test]
async fn cookies_that_a_redirect_sets_are_kept_captured_and_sent_to_their_host_alone() {
    let other = HttpAgent::start(|_| Answer::Reply {
        status: 200,
        headers: vec![("set-cookie", "theirs=9; Path=/".to_owned())],
        body: b"fine".to_vec(),
    })
    .await;
    // The other server is at another name of this machine.
    for home in [String::new(), other.url().replace("127.0.0.1", "localhost")] {
        let agent = HttpAgent::start(form(home.clone())).await;
        let url = agent.url();
        let config = json!({
            "url": format!("{url}/chat"),
            "headers": [{ "key": "X-Login", "value": "{{ captured.login }}" }],
            "session": { "start": {
                "url": format!("{url}/login"), "headers": [{ "key": "Cookie", "value": "mine=1" }],
                "capture": { "login": { "cookie": "login" } },
            } },
        });
        let mut play = Play::of(config, key()).await;
        play.begin().await.unwrap();
        play.turn().await.unwrap();
        let requests = agent.requests();
        let turn = requests.last().unwrap();
        assert_eq!(
            (turn.header("cookie"), turn.header("x-login")),
            (Some("login=opened-1"), Some("opened-1"))
        );
        let landed = if home.is_empty() { requests[1].clone() } else { other.requests()[0].clone() };
        let expected = home.is_empty().then_some("mine=1; login=opened-1");
        assert_eq!((landed.target.as_str(), landed.header("cookie")), ("/home", expected));
    }
}

#[tokio::test]
async fn what_is_captured_is_shown_in_no_reply_and_no_error() {
    let echo = |status: u16| {
        move |request: &AgentRequest| {
            if request.target.starts_with("/start") {
                return shop(request);
            }
            let seen = (request.header("cookie"), request.header("x-session"));
            Answer::status(status, format!("{seen:?}"))
        }
    };
    let agent = HttpAgent::start(echo(200)).await;
    let mut play = Play::of(definition(&agent), key()).await;
    play.begin().await.unwrap();
    assert!(!format!("{:?}", play.session).contains("value"), "{:?}", play.session);
    let said = play.turn().await.unwrap().content;
    let agent = HttpAgent::start(echo(500)).await;
    let mut play = Play::of(definition(&agent), key()).await;
    play.begin().await.unwrap();
    let failed = play.turn().await.unwrap_err();
    let end = play.end().await.unwrap_err();
    for text in [said, failed.message, end.message.clone()] {
        assert!(text.contains("[redacted]") && !text.contains("-value"), "{text}");
    }
    assert!(end.message.starts_with("The agent's session could not be ended: HTTP 500"), "{end}");
}

#[tokio::test]
async fn a_start_that_fails_or_lacks_what_is_captured_is_the_agent_s_failure() {
    for (answer, code, words) in [
        ((503, json!({})), "http_status", "could not be started: HTTP 503"),
        (
            (200, json!({})),
            "session_capture_failed",
            "session.start.capture.id: '$.conversation.id' is not in the reply of http",
        ),
        ((200, json!({ "conversation": { "id": null } })), "session_capture_failed", "capture.id"),
        (
            (200, json!({ "conversation": { "id": "x".repeat(9000) } })),
            "session_capture_failed",
            "longer than 8192 bytes",
        ),
        (
            (200, json!({ "conversation": { "id": "c", "number": 7 } })),
            "session_capture_failed",
            "the cookie 'sid'",
        ),
    ] {
        let agent = HttpAgent::start(move |_| Answer::Reply {
            status: answer.0,
            headers: vec![("content-type", "application/json".to_owned())],
            body: answer.1.to_string().into_bytes(),
        })
        .await;
        let mut play = Play::of(definition(&agent), key()).await;
        let failure = play.begin().await.unwrap_err();
        assert_eq!((failure.code.as_ref(), failure.attributed_to), (code, Attribution::Target), "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn a_session_that_cannot_work_is_refused_with_its_place() {
    let start = |more: Value| json!({ "start": with(json!({ "url": "https://a.example" }), more) });
    for (session, words) in [
        (start(json!({ "method": "BREW" })), "session.start.method: 'BREW' is none of"),
        (start(json!({ "url": "ftp://a.example" })), "session.start.url: its scheme is 'ftp'"),
        (start(json!({ "url": "{{ input" })), "session.start.url"),
        (
            start(json!({ "headers": [{ "key": "Upgrade", "value": "x" }] })),
            "session.start.headers \"Upgrade\"",
        ),
        (
            start(json!({ "query": [{ "key": "", "value": "x" }] })),
            "session.start.query: a parameter has no key",
        ),
        (start(json!({ "body": "{{ input | nope" })), "session.start.bodyTemplate"),
        (start(json!({ "capture": { "a-b": "$.x" } })), "session.start.capture.a-b: 'a-b' is no name"),
        (start(json!({ "capture": { "a": "x" } })), "session.start.capture.a: "),
        (
            start(json!({ "capture": { "a": { "header": "a b" } } })),
            "session.start.capture.a: it is no header name",
        ),
        (start(json!({ "capture": { "a": 1 } })), "session"),
        (json!({ "end": { "url": "https://a.example", "capture": { "a": "$.x" } } }), "session.end.capture"),
        (
            json!({ "end": { "url": "https://a.example/{{ secrets.NO }}" } }),
            "'NO' that session.end.url names",
        ),
        (start(json!({ "url": "http://169.254.169.254/" })), "session.start.url may not be called"),
    ] {
        let config = json!({ "url": "https://a.example", "session": session });
        let failure = failure(http_adapter(config, Secrets::new(), json!({})).await.err().unwrap());
        assert_eq!(failure.attributed_to, Attribution::Definition);
        assert!(failure.message.contains(words), "{words}: {failure}");
    }
}
