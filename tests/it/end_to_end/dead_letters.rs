//! `dead-letters`: from a message that cannot run to one that does.

use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::strangers::{next, offline, outcome, publish, request};
use crate::support::shop::Shop;
use crate::support::worker::{Place, json_lines, text};

#[tokio::test]
async fn dead_letters_are_listed_redriven_and_discarded_by_their_sequence() {
    let place = Place::new();
    let worker = place.serve().await;
    let client = place.nats.client().await;
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    publish(&client, "scenario.run.requested.acme", HeaderMap::new(), b"no JSON \x1b[2J".to_vec()).await;
    next(&mut letters).await;
    let wrong_turns = request(&json!({ "projectId": "other", "maxTurns": 101 }));
    publish(&client, "scenario.run.requested", HeaderMap::new(), wrong_turns.clone()).await;
    next(&mut letters).await;

    let listed = place.run(&["dead-letters", "list", "--json"]).await;
    let found = json_lines(&listed.stdout);
    let seen: Vec<_> = found.iter().map(|letter| (&letter["sequence"], &letter["code"])).collect();
    assert_eq!(seen, [(&json!(1), &json!("invalid_json")), (&json!(2), &json!("out_of_bounds"))]);
    assert!(found.iter().all(|letter| letter["payload"].is_string() && letter["headers"].is_object()));
    let of_one =
        json_lines(&place.run(&["dead-letters", "list", "--project", "other", "--json"]).await.stdout);
    assert_eq!(of_one, found[1..]);
    let shown = place.run(&["dead-letters", "list"]).await;
    assert!(shown.stdout.is_empty(), "what is for people goes to standard error");
    let shown = text(&shown.stderr);
    for part in ["invalid_json", "out_of_bounds", "maxTurns", "scenario.run.requested.acme"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let bytes = wrong_turns.len().to_string();
    assert!(shown.contains(&bytes) && !shown.contains('\u{1b}'), "{shown}");

    // It is as wrong as before, so it comes back as another letter, and says where it comes from.
    let redriven = place.run(&["dead-letters", "redrive", "2", "9"]).await;
    assert_eq!(redriven.status.code(), Some(2));
    let said = text(&redriven.stderr);
    assert!(
        said.contains("dead letter 2 is redriven") && said.contains("there is no dead letter 9"),
        "{said}"
    );
    let again: Value = serde_json::from_slice(&next(&mut letters).await.payload).unwrap();
    assert_eq!(again["headers"]["Scenario-Redriven-From"], json!(["2"]));
    assert!(again["headers"]["Nats-Msg-Id"][0].as_str().unwrap().starts_with("other:redrive-2-"));

    let discarded = place.run(&["dead-letters", "discard", "--all"]).await;
    assert_eq!(discarded.status.code(), Some(0), "{}", text(&discarded.stderr));
    let none = place.run(&["dead-letters", "list"]).await;
    assert!(text(&none.stderr).contains("there are no dead letters"));
    assert_eq!(place.run(&["dead-letters", "redrive"]).await.status.code(), Some(2), "say which");
    drop(worker);
}

#[tokio::test]
async fn a_request_that_the_server_gave_up_is_redriven_and_comes_to_its_outcome() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let client = place.nats.client().await;
    let mut letters = client.subscribe("scenario.run.dead_lettered").await.unwrap();
    let mut outcomes = client.subscribe("scenario.run.completed").await.unwrap();
    // What the server says when it gives up; the request waits in the stream behind a consumer that is paused.
    let jetstream = async_nats::jetstream::new(client.clone());
    let stream = jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    let until = time::OffsetDateTime::now_utc() + Duration::from_hours(1);
    stream.pause_consumer("scenario-workers", until).await.unwrap();
    publish(&client, "scenario.run.requested", HeaderMap::new(), request(&json!({}))).await;
    let now = time::OffsetDateTime::now_utc();
    let now = now.format(&time::format_description::well_known::Rfc3339).unwrap();
    let advisory = json!({ "stream": "SCENARIO_REQUESTS", "consumer": "scenario-workers", "stream_seq": 1,
        "deliveries": 1000, "timestamp": now });
    let subject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.SCENARIO_REQUESTS.scenario-workers";
    publish(&client, subject, HeaderMap::new(), advisory.to_string().into_bytes()).await;
    assert_eq!(outcome(&mut letters).await["code"], "deliveries_exhausted");
    stream.resume_consumer("scenario-workers").await.unwrap();

    let redriven = place.run(&["dead-letters", "redrive", "--all"]).await;
    assert_eq!(redriven.status.code(), Some(0), "{}", text(&redriven.stderr));
    assert_eq!(outcome(&mut outcomes).await["status"], "SUCCESS");
    assert!(json_lines(&place.run(&["dead-letters", "list", "--json"]).await.stdout).is_empty());
}

#[tokio::test]
async fn a_broker_without_dead_letters_and_one_out_of_reach_have_their_exit_codes() {
    let place = Place::new();
    let none = place.run(&["dead-letters", "list"]).await;
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("SCENARIO_DEAD_LETTERS"), "{}", text(&none.stderr));
    let away = place.run(&["dead-letters", "list", "--nats-url", "nats://127.0.0.1:9"]).await;
    assert_eq!(away.status.code(), Some(3), "{}", text(&away.stderr));
}
