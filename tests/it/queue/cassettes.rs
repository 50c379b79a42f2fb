//! Cassettes that several runs record at once.

use async_nats::jetstream;
use futures::TryStreamExt as _;
use scenario_worker::events::{ProjectId, RunId};
use scenario_worker::execution::cassette::{CassetteKey, CassetteLibrary as _, Recording};
use scenario_worker::queue::Cassettes;
use tokio::io::AsyncReadExt as _;

use super::{Broker, until, within};

const BUCKET: &str = "SCENARIO_CASSETTES";

#[tokio::test]
async fn a_recording_that_is_replaced_while_it_is_read_is_read_as_it_is_then() {
    let broker = Broker::new().await;
    let cassettes = Cassettes::new(&broker.connection, &broker.topology);
    let key = CassetteKey { project: ProjectId::parse("acme").unwrap(), name: "mine".to_owned() };
    let recording =
        Recording { run: RunId::parse("run-1").unwrap(), calls: [("judge 1".to_owned(), 1)].into() };
    cassettes.publish(&key, &recording).await.unwrap();
    let jetstream = jetstream::new(broker.account.client().await);
    let store = jetstream.get_object_store(BUCKET).await.unwrap();
    let stream = jetstream.get_stream(format!("OBJ_{BUCKET}")).await.unwrap();
    let label = store.list().await.unwrap().try_next().await.unwrap().unwrap().name;
    let mut bytes = Vec::new();
    store.get(&label).await.unwrap().read_to_end(&mut bytes).await.unwrap();

    // What the look-up finds has lost its pieces, as those of an object that is being replaced.
    stream.purge().filter(format!("$O.{BUCKET}.C.>")).await.unwrap();
    let reads = tokio::spawn(async move { cassettes.recording(&key).await });
    until(async || stream.get_info().await.unwrap().state.consumer_count > 0).await;
    store.put(label.as_str(), &mut bytes.as_slice()).await.unwrap();
    assert_eq!(within(reads).await.unwrap().unwrap(), Some(recording));
}
