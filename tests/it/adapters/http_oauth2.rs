//! Tokens for client credentials: fetched once, shared, replaced, and never shown.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use scenario_worker::adapters::{HttpAdapterFactory, TargetAdapterFactory};
use scenario_worker::definitions::Secrets;
use scenario_worker::events::Attribution;
use scenario_worker::execution::failure::RunFailure;
use scenario_worker::execution::ports::{Clock, TargetAdapter, TargetReply};
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::stage::{
    LINE, Shelf, ask_with, dialogue, failure, http_adapter, http_agent, secrets, spec, take_turn, with,
};
use crate::support::http_agent::{AgentRequest, Answer, HttpAgent};
use crate::support::spans::Recorded;

const CLIENT_SECRET: &str = "s3cret/of the client";

/// A clock that stands until it is moved.
struct Standing(Mutex<OffsetDateTime>);

impl Standing {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(datetime!(2026-01-01 0:00 UTC))))
    }

    fn passes(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Standing {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// A server that hands tokens out at `/token`, numbered from 1, and is an agent elsewhere that answers `agent`.
async fn server(agent: impl Fn(&AgentRequest) -> Answer + Send + Sync + 'static) -> HttpAgent {
    let tokens = AtomicUsize::new(0);
    HttpAgent::start(move |request| {
        if request.target != "/token" {
            return agent(request);
        }
        let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::json(&json!({ "access_token": format!("token-number-{number}"), "token_type": "Bearer", "expires_in": 600 }))
    })
    .await
}

fn definition(server: &HttpAgent, more: Value) -> Value {
    let auth = json!({
        "type": "oauth2", "tokenUrl": format!("{}/token", server.url()),
        "clientId": "client one", "clientSecret": "{{ secrets.CLIENT }}",
    });
    json!({ "url": format!("{}/chat", server.url()), "auth": with(auth, more) })
}

fn client_secret() -> Secrets {
    secrets([("CLIENT", CLIENT_SECRET)])
}

fn factory(config: Value, clock: Arc<dyn Clock>) -> HttpAdapterFactory {
    let shelf =
        Arc::new(Shelf { agents: vec![http_agent(config)], secrets: client_secret(), ..Shelf::default() });
    HttpAdapterFactory::new(shelf.clone(), shelf, crate::support::egress::open()).with_clock(clock)
}

async fn adapter(factory: &HttpAdapterFactory) -> Box<dyn TargetAdapter> {
    factory.create(spec("http", "shop", json!({}))).await.unwrap()
}

async fn ask(factory: &HttpAdapterFactory) -> Result<TargetReply, RunFailure> {
    let recorded = Recorded::default();
    take_turn(adapter(factory).await.as_ref(), &dialogue(LINE), &recorded).await
}

async fn asked_once(config: Value) -> Result<TargetReply, RunFailure> {
    ask_with(config, client_secret(), json!({}), &dialogue(LINE)).await
}

fn shown_tokens(server: &HttpAgent) -> Vec<String> {
    let chats = server.requests().into_iter().filter(|request| request.target != "/token");
    chats.map(|request| request.header("authorization").unwrap().to_owned()).collect()
}

fn token_requests(server: &HttpAgent) -> Vec<AgentRequest> {
    server.requests().into_iter().filter(|request| request.target == "/token").collect()
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_definition_says() {
    let basic = "Basic Y2xpZW50K29uZTpzM2NyZXQlMkZvZit0aGUrY2xpZW50";
    let body = "&client_id=client+one&client_secret=s3cret%2Fof+the+client";
    for (more, authorization, form) in [
        (json!({}), Some(basic), "grant_type=client_credentials".to_owned()),
        (
            json!({ "scope": "a b", "audience": "https://api", "authStyle": "basic" }),
            Some(basic),
            "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fapi".to_owned(),
        ),
        (json!({ "authStyle": "body" }), None, format!("grant_type=client_credentials{body}")),
    ] {
        let server = server(|_| Answer::json(&json!("ok"))).await;
        assert_eq!(asked_once(definition(&server, more)).await.unwrap().content, "ok");
        let request = token_requests(&server).remove(0);
        assert_eq!((request.method.as_str(), request.body.clone()), ("POST", form));
        assert_eq!(request.header("authorization"), authorization);
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(shown_tokens(&server), ["Bearer token-number-1"]);
    }
}

#[tokio::test]
async fn a_secret_within_the_place_of_tokens_is_one_component_of_it() {
    let server = server(|_| Answer::json(&json!("ok"))).await;
    let place = json!({ "tokenUrl": format!("{}/token/{{{{ secrets.CLIENT }}}}", server.url()) });
    drop(asked_once(definition(&server, place)).await);
    assert_eq!(server.requests()[0].target, "/token/s3cret%2Fof%20the%20client");
}

#[tokio::test]
async fn runs_share_a_token_until_it_is_about_to_end() {
    let (server, clock) = (server(|_| Answer::json(&json!("ok"))).await, Standing::new());
    let factory = factory(definition(&server, json!({})), clock.clone());
    ask(&factory).await.unwrap();
    clock.passes(Duration::seconds(569));
    ask(&factory).await.unwrap();
    assert_eq!(token_requests(&server).len(), 1);
    clock.passes(Duration::seconds(1));
    ask(&factory).await.unwrap();
    let (first, second) = ("Bearer token-number-1", "Bearer token-number-2");
    assert_eq!(shown_tokens(&server), [first, first, second]);
}

#[tokio::test]
async fn runs_that_begin_at_once_fetch_one_token() {
    let server = server(|_| Answer::json(&json!("ok"))).await;
    let factory = factory(definition(&server, json!({})), Standing::new());
    let answers = join_all((0..20).map(|_| ask(&factory))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((token_requests(&server).len(), shown_tokens(&server).len()), (1, 20));
}

#[tokio::test]
async fn other_credentials_and_other_projects_have_other_tokens() {
    let server = server(|_| Answer::json(&json!("ok"))).await;
    let factory = factory(definition(&server, json!({})), Standing::new());
    ask(&factory).await.unwrap();
    let mut other = spec("http", "shop", json!({}));
    other.project.id = scenario_worker::events::ProjectId::parse("other").unwrap();
    let others = factory.create(other).await.unwrap();
    take_turn(others.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap();
    let mut own = spec("http", "shop", json!({}));
    own.secrets = secrets([("CLIENT", "of this run")]);
    let own = factory.create(own).await.unwrap();
    take_turn(own.as_ref(), &dialogue(LINE), &Recorded::default()).await.unwrap();
    assert_eq!(token_requests(&server).len(), 3);
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_again_once_and_the_question_repeated() {
    let picky = |request: &AgentRequest| match request.header("authorization") {
        Some("Bearer token-number-1") => Answer::status(401, "expired"),
        _ => Answer::json(&json!("ok")),
    };
    let server = server(picky).await;
    let factory = factory(definition(&server, json!({})), Standing::new());
    let answers = join_all((0..5).map(|_| ask(&factory))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(token_requests(&server).len(), 2, "one for all of them, and once more");
    let keys: Vec<_> =
        server.requests().iter().filter_map(|r| r.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "a repetition is known by its key");
}

#[tokio::test]
async fn a_token_is_replaced_in_the_middle_of_a_turn_whose_answer_comes_later() {
    let picky = |request: &AgentRequest| {
        let token = request.header("authorization").unwrap().strip_prefix("Bearer token-number-").unwrap();
        let location = vec![("location", "/jobs/7".to_owned())];
        match (request.target.as_str(), token) {
            ("/chat", "2") => Answer::Reply { status: 202, headers: location, body: vec![] },
            ("/jobs/7", "3") => Answer::typed("text/event-stream", "data: ok\n\n"),
            _ => Answer::status(401, "expired"),
        }
    };
    let server = server(picky).await;
    let more = json!({ "poll": { "intervalSeconds": 0.1 }, "stream": { "format": "sse" } });
    let reply = asked_once(with(definition(&server, json!({})), more)).await.unwrap();
    assert_eq!(reply.content, "ok");
    assert_eq!(shown_tokens(&server), [1, 2, 2, 3].map(|number| format!("Bearer token-number-{number}")));
    let keys: Vec<_> = server
        .requests()
        .iter()
        .filter(|r| r.target == "/chat")
        .map(|r| r.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["run-1:2", "run-1:2"], "a repetition is known by its key");
}

#[tokio::test]
async fn a_token_is_not_shown_where_an_answer_is_that_comes_later_elsewhere() {
    let elsewhere = HttpAgent::start(|_| Answer::json(&json!("ok"))).await;
    let location = format!("{}/jobs/7", elsewhere.url());
    let server = server(move |_| {
        let headers = vec![("location", location.clone())];
        Answer::Reply { status: 202, headers, body: vec![] }
    })
    .await;
    let config = with(definition(&server, json!({})), json!({ "poll": { "intervalSeconds": 0.1 } }));
    assert_eq!(asked_once(config).await.unwrap().content, "ok");
    assert_eq!(elsewhere.requests()[0].header("authorization"), None);
    assert_eq!(token_requests(&server).len(), 1);
}

#[tokio::test]
async fn a_token_that_does_not_come_in_the_time_of_the_turn_is_not_put_down_to_the_agent() {
    let server = HttpAgent::start(|_| Answer::Hang).await;
    let config = with(definition(&server, json!({})), json!({ "timeoutSeconds": 1 }));
    let failure = asked_once(config).await.unwrap_err();
    assert_eq!(failure.code, "oauth2_failed");
    assert!(failure.message.contains("/token: it did not answer within the 1 seconds"), "{failure}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_agent_that_refuses_every_token_is_asked_twice_and_no_more() {
    let server =
        server(|request| Answer::status(401, format!("no: {}", request.header("authorization").unwrap())))
            .await;
    let failure = asked_once(definition(&server, json!({}))).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("http_status", Attribution::Target));
    assert!(failure.message.ends_with("no: Bearer [redacted]"), "{failure}");
    assert_eq!((token_requests(&server).len(), shown_tokens(&server).len()), (2, 2));
}

#[tokio::test]
async fn an_agent_that_echoes_the_token_does_not_put_it_into_the_conversation() {
    let server = server(|request| {
        Answer::json(&json!(format!("you showed {}", request.header("authorization").unwrap())))
    })
    .await;
    let reply = asked_once(definition(&server, json!({}))).await.unwrap();
    assert_eq!(reply.content, "you showed Bearer [redacted]");
}

type Says = Box<dyn Fn() -> Answer + Send + Sync>;

#[tokio::test]
async fn what_goes_wrong_with_a_token_is_told_and_put_down_to_whoever_can_mend_it() {
    let json = |status: u16, body: Value| {
        move || Answer::Reply {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    };
    let refusal = json!({ "error": "invalid_client", "error_description": format!("not {CLIENT_SECRET}") });
    let redirect =
        || Answer::Reply { status: 307, headers: vec![("location", "/elsewhere".into())], body: vec![] };
    let (definition_s, target_s) = (Attribution::Definition, Attribution::Target);
    let cases: [(Says, &str, Attribution, &str); 9] = [
        (
            Box::new(json(401, refusal.clone())),
            "oauth2_refused",
            definition_s,
            "HTTP 401 Unauthorized: invalid_client (not [redacted])",
        ),
        (
            Box::new(json(400, json!({ "error": "invalid_scope" }))),
            "oauth2_refused",
            definition_s,
            "invalid_scope",
        ),
        (
            Box::new(|| Answer::status(403, CLIENT_SECRET.repeat(40))),
            "oauth2_refused",
            definition_s,
            "[redacted]",
        ),
        (
            Box::new(|| Answer::status(503, "down")),
            "oauth2_failed",
            target_s,
            "HTTP 503 Service Unavailable: down",
        ),
        (
            Box::new(|| Answer::typed("text/html", "<html>")),
            "oauth2_failed",
            target_s,
            "no JSON with an access_token",
        ),
        (Box::new(json(200, json!({ "access_token": " " }))), "oauth2_failed", target_s, "is empty"),
        (
            Box::new(json(200, json!({ "access_token": "a", "token_type": "mac" }))),
            "oauth2_failed",
            target_s,
            "'mac'",
        ),
        (Box::new(|| Answer::Raw(Vec::new())), "oauth2_failed", target_s, "No token came from"),
        (Box::new(redirect), "oauth2_failed", target_s, "HTTP 307"),
    ];
    for (says, code, blamed, words) in cases {
        let server = HttpAgent::start(move |_| says()).await;
        let failure = asked_once(definition(&server, json!({ "authStyle": "body" }))).await.unwrap_err();
        assert_eq!((failure.code.as_ref(), failure.attributed_to), (code, blamed), "{failure}");
        assert!(failure.message.contains(words) && failure.message.contains("/token"), "{failure}");
        assert!(
            !failure.message.contains("s3cret") && !failure.message.contains("of the client"),
            "{failure}"
        );
        assert_eq!(server.requests().len(), 1, "nobody is followed with these credentials");
    }
}

#[tokio::test]
async fn who_waits_for_a_token_that_does_not_come_fails_with_whoever_asked() {
    let server = HttpAgent::start(|_| Answer::status(503, "down")).await;
    let factory = factory(definition(&server, json!({})), Standing::new());
    let answers = join_all((0..20).map(|_| ask(&factory))).await;
    assert!(answers.iter().all(Result::is_err));
    assert!(server.requests().len() < 20, "{} requests", server.requests().len());
    assert!(ask(&factory).await.is_err(), "a failure is not kept");
    assert!(server.requests().iter().all(|request| request.target == "/token"));
}

#[tokio::test]
async fn a_lifetime_may_be_a_text_or_missing_or_very_short() {
    for (expires_in, until) in [(json!("600"), 569), (json!(null), 269), (json!(10), 4), (json!("soon"), 269)]
    {
        let tokens = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tokens);
        let server = HttpAgent::start(move |request| {
            if request.target != "/token" {
                return Answer::json(&json!("ok"));
            }
            count.fetch_add(1, Ordering::SeqCst);
            Answer::json(&json!({ "access_token": "any-token", "expires_in": expires_in }))
        })
        .await;
        let clock = Standing::new();
        let factory = factory(definition(&server, json!({})), clock.clone());
        ask(&factory).await.unwrap();
        clock.passes(Duration::seconds(until));
        ask(&factory).await.unwrap();
        assert_eq!(tokens.load(Ordering::SeqCst), 1, "{until} s");
        clock.passes(Duration::seconds(1));
        ask(&factory).await.unwrap();
        assert_eq!(tokens.load(Ordering::SeqCst), 2, "{until} s");
    }
}

#[tokio::test]
async fn a_token_server_where_nobody_may_go_is_known_before_the_run() {
    let config = json!({ "url": "https://shop.example/chat", "auth": {
        "type": "oauth2", "tokenUrl": "http://169.254.169.254/{{ secrets.CLIENT }}", "clientId": "a", "clientSecret": "not-to-be-seen",
    }});
    let failure =
        failure(http_adapter(config, secrets([("CLIENT", "path-of-it")]), json!({})).await.err().unwrap());
    assert_eq!((failure.code.as_ref(), failure.attributed_to), ("egress_refused", Attribution::Definition));
    assert!(failure.message.starts_with("HTTP agent shop: auth.tokenUrl may not be called: "), "{failure}");
}
