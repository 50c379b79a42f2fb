//! Receipts.

use std::sync::Arc;

use async_trait::async_trait;
use scenario_worker::events::{Receipt, RequestIdentity, RequestPayload, RunRequest, SetId, TraceContext};
use scenario_worker::execution::failure::{PlanError, RunFailure, Unavailable};
use scenario_worker::execution::ports::RequestValidator;
use scenario_worker::queue::Scheduler;
use serde_json::{Value, json};

use super::Broker;

/// Knows one scenario; its store can be away.
struct Validator;

#[async_trait]
impl RequestValidator for Validator {
    async fn validate(&self, request: &RunRequest) -> Result<(), PlanError> {
        match request.scenario_id.as_str() {
            "refund" => Ok(()),
            "away" => Err(Unavailable::new("reading the scenario", "the store is away").into()),
            id => {
                Err(RunFailure::definition("scenario_not_found", format!("Scenario {id} not found")).into())
            }
        }
    }
}

fn scheduler(broker: &Broker) -> Scheduler {
    Scheduler::new(&broker.connection, Arc::new(Validator), SetId::parse("default").unwrap())
}

fn payload(scenario: &str, more: &Value) -> RequestPayload {
    let mut value = json!({ "projectId": "acme", "scenarioId": scenario,
        "target": { "type": "http", "referenceId": "shop" } });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    RequestPayload::decode(value.to_string().as_bytes()).unwrap()
}

async fn stored(broker: &Broker) -> u64 {
    let stream = broker.connection.jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    stream.cached_info().state.messages
}

#[tokio::test]
async fn a_receipt_names_what_the_worker_will_run() {
    let broker = Broker::new().await;
    let trace = TraceContext::from_headers(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], &[]);
    let receipt = scheduler(&broker)
        .schedule(payload("refund", &json!({})), Some("order-7"), trace.unwrap().as_ref())
        .await
        .unwrap();
    let mut consuming = broker.consume(1);
    let (delivery, _slot) = consuming.next().await;
    let request = RequestPayload::decode(delivery.payload())
        .unwrap()
        .resolve(
            RequestIdentity {
                subject: delivery.subject(),
                message_id: delivery.message_id(),
                stored_as: &delivery.stored_as(),
                trace_context: delivery.trace_context().unwrap(),
            },
            &SetId::parse("default").unwrap(),
        )
        .unwrap();
    assert_eq!(request.parent.as_ref().unwrap().span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert_eq!(
        receipt,
        Receipt::Scheduled {
            scheduled: true,
            job_id: "acme:order-7".to_owned(),
            scenario_run_id: request.key.run,
            batch_run_id: request.batch_run_id,
            set_id: request.set_id,
            duplicate: false,
            stream_sequence: delivery.stream_sequence(),
        }
    );
    delivery.ack().await.unwrap();
    consuming.stop().await;
}

#[tokio::test]
async fn the_same_key_again_is_a_duplicate_of_the_same_run() {
    let broker = Broker::new().await;
    let scheduler = scheduler(&broker);
    let first = scheduler.schedule(payload("refund", &json!({})), Some("k"), None).await.unwrap();
    let second = scheduler.schedule(payload("refund", &json!({})), Some("k"), None).await.unwrap();
    let (first, second) = (serde_json::to_value(first).unwrap(), serde_json::to_value(second).unwrap());
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&json!(false), &json!(true)));
    for field in ["scenarioRunId", "jobId", "streamSequence"] {
        assert_eq!(first[field], second[field], "{field}");
    }
    assert_eq!(stored(&broker).await, 1);
}

#[tokio::test]
async fn a_request_that_can_never_run_is_refused_and_not_stored() {
    let broker = Broker::new().await;
    let scheduler = scheduler(&broker);
    for (payload, key, code) in [
        (payload("nope", &json!({})), None, "scenario_not_found"),
        (payload("refund", &json!({ "maxTurns": 1000 })), None, "out_of_bounds"),
        (payload("refund", &json!({})), Some("a\nb"), "invalid_request"),
    ] {
        let receipt = serde_json::to_value(scheduler.schedule(payload, key, None).await.unwrap()).unwrap();
        assert_eq!((&receipt["scheduled"], &receipt["error"]["code"]), (&json!(false), &json!(code)));
    }
    assert_eq!(stored(&broker).await, 0);
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_and_no_receipt() {
    let broker = Broker::new().await;
    let error = scheduler(&broker).schedule(payload("away", &json!({})), None, None).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(stored(&broker).await, 0);
}
