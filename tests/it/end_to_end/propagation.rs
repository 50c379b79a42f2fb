//! Which headers travel with a run: in with its request, out with its events and to its agent.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use serde_json::{Value, json};

use super::strangers::{definitions, next, offline, outcome, publish, request};
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::shop::Shop;
use crate::support::worker::Place;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// Headers that say something of a trace.
const TRACED: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// The value of a header, however it is written; one that is there twice fails the test.
fn header(message: &Message, name: &str) -> Option<String> {
    let headers = message.headers.iter().flat_map(HeaderMap::iter);
    let found: Vec<String> = headers
        .filter(|(spelled, _)| spelled.to_string().eq_ignore_ascii_case(name))
        .flat_map(|(_, values)| values.iter().map(ToString::to_string))
        .collect();
    assert!(found.len() <= 1, "{name} is there {} times", found.len());
    found.into_iter().next()
}

#[tokio::test]
async fn a_run_that_continues_its_request_takes_the_trace_along_and_of_baggage_what_is_allowed() {
    let (models, shop) = (ModelServer::playing().await, Shop::open(Duration::ZERO).await);
    let otlp = OtlpReceiver::start(Mode::Ok).await;
    let allowed = r#"["langwatch.origin", "scenario.run_id"]"#;
    let place = Place::new().with("TELEMETRY__RUN__BAGGAGE", allowed);
    place.import(&definitions(&models.base_url(), shop.url(), &otlp.endpoint())).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut events = client.subscribe("scenario.events.>").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("TraceParent", format!("00-{TRACE}-{SPAN}-00"));
    headers.append("tracestate", "a=1");
    headers.append("tracestate", " b@v=2 ,a@@b=3");
    headers.insert("baggage", "user.email=somebody");
    let asked = request(&json!({ "traceContext": "continue", "scenarioRunId": "r-1" }));
    publish(&client, "scenario.run.requested.acme", headers, asked).await;

    loop {
        let event = next(&mut events).await;
        let own = header(&event, "traceparent").unwrap();
        assert!(own.starts_with(&format!("00-{TRACE}-")) && own.ends_with("-01"), "{own}");
        assert!(!own.contains(SPAN), "the events carry the run's own span");
        assert_eq!(header(&event, "tracestate").as_deref(), Some("a=1,b@v=2,a@@b=3"));
        assert_eq!(header(&event, "baggage"), None);
        if event.subject.ends_with(".completed") {
            break;
        }
    }
    let (to_agent, _) = &shop.questions()[0];
    assert!(to_agent["traceparent"].to_str().unwrap().starts_with(&format!("00-{TRACE}-")));
    assert_eq!(to_agent["tracestate"], "a=1,b@v=2,a@@b=3");
    assert_eq!(to_agent["baggage"], "langwatch.origin=simulation,scenario.run_id=r-1");
    let to_models = models.received();
    let calls = to_models.iter().map(|call| &call.headers);
    let exports = otlp.attempts();
    for sent in calls.chain(exports.iter().map(|attempt| &attempt.headers)) {
        assert!(TRACED.iter().all(|name| !sent.contains_key(*name)), "{sent:?}");
    }
    let root = otlp.spans().into_iter().find(|span| span.name == "langwatch.scenario.run").unwrap();
    assert_eq!((root.trace_id.as_str(), root.parent_span_id.as_deref()), (TRACE, Some(SPAN)));
}

#[tokio::test]
async fn a_request_in_doubt_about_its_trace_gets_events_without_one_and_is_counted() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    let good = format!("00-{TRACE}-{SPAN}-01");
    let in_doubt: [&[(&str, &str)]; 8] = [
        &[("traceparent", "")],
        &[("traceparent", &good[1..])],
        &[("traceparent", &good.to_uppercase())],
        &[("traceparent", &good.replacen("00", "ff", 1))],
        &[("traceparent", &good.replace(SPAN, "0000000000000000"))],
        &[("traceparent", &format!("{good}-more")), ("tracestate", "a=1")],
        &[("traceparent", &good), ("traceparent", &good)],
        &[("Traceparent", &good), ("traceparent", &good)],
    ];
    for headers_of in in_doubt {
        let mut headers = HeaderMap::new();
        for (name, value) in headers_of {
            headers.append(*name, *value);
        }
        let asked = request(&json!({ "traceContext": "continue" }));
        publish(&client, "scenario.run.requested.acme", headers, asked).await;
        let event = next(&mut outcomes).await;
        assert!(TRACED.iter().all(|name| header(&event, name).is_none()), "{headers_of:?}: {event:?}");
        let completed: Value = serde_json::from_slice(&event.payload).unwrap();
        let own = completed["telemetry"]["traceId"].as_str().unwrap();
        assert_ne!(own, TRACE);
        let (asked, _) = shop.questions().pop().unwrap();
        assert!(asked["traceparent"].to_str().unwrap().starts_with(&format!("00-{own}-")), "{asked:?}");
        assert!(!asked.contains_key("tracestate") && !asked.contains_key("baggage"), "{asked:?}");
    }
    let counted = worker.metric("scenario_worker_invalid_trace_contexts_total").await;
    assert!((counted - 8.0).abs() < f64::EPSILON, "{counted}");
}

#[tokio::test]
async fn a_dead_letter_keeps_the_headers_of_its_message_and_travels_without_them() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let good = format!("00-{TRACE}-{SPAN}-01");
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", good.as_str());
    headers.insert("baggage", "a=1");
    publish(&client, "scenario.run.requested", headers.clone(), b"{".to_vec()).await;
    let letter = next(&mut letters).await;
    assert!(TRACED.iter().all(|name| header(&letter, name).is_none()), "{letter:?}");
    let payload: Value = serde_json::from_slice(&letter.payload).unwrap();
    assert_eq!(payload["headers"]["traceparent"], json!([good]));
    headers.insert("traceparent", "nonsense");
    publish(&client, "scenario.run.requested", headers, b"{".to_vec()).await;
    assert_eq!(outcome(&mut letters).await["headers"]["traceparent"], json!(["nonsense"]));
}
