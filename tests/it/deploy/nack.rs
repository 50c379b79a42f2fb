//! The NACK resources are the streams and consumers that a worker creates by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, FromConsumer as _, pull};
use async_nats::jetstream::stream::{self, DiscardPolicy, Republish, RetentionPolicy, StorageType};
use futures::TryStreamExt as _;
use scenario_worker::queue::{self, Connection, topology};
use scenario_worker::settings::Settings;
use serde::Deserialize;
use serde_json::Value;

use super::settings::of_kubernetes;
use super::{documents, files, root, text};
use crate::support::nats;

/// A resource, with the fields of `jetstream.nats.io/v1beta2` that are used.
#[derive(Deserialize)]
#[serde(tag = "kind", content = "spec")]
enum Resource {
    Stream(Box<StreamSpec>),
    ObjectStore(ObjectStoreSpec),
    Consumer(ConsumerSpec),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the resource has them")]
struct StreamSpec {
    name: String,
    subjects: Vec<String>,
    retention: RetentionPolicy,
    storage: StorageType,
    replicas: usize,
    #[serde(default)]
    discard: DiscardPolicy,
    #[serde(default)]
    max_msgs_per_subject: i64,
    max_age: Option<String>,
    duplicate_window: String,
    subject_delete_marker_ttl: Option<String>,
    #[serde(default)]
    allow_rollup: bool,
    #[serde(default)]
    deny_delete: bool,
    #[serde(default)]
    allow_direct: bool,
    #[serde(default)]
    allow_msg_ttl: bool,
    republish: Option<RepublishSpec>,
    prevent_delete: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepublishSpec {
    source: String,
    destination: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ObjectStoreSpec {
    bucket: String,
    storage: StorageType,
    replicas: usize,
    ttl: String,
    prevent_delete: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsumerSpec {
    stream_name: String,
    durable_name: String,
    #[serde(default)]
    filter_subject: String,
    deliver_policy: Deliver,
    replay_policy: consumer::ReplayPolicy,
    ack_policy: consumer::AckPolicy,
    ack_wait: String,
    max_deliver: i64,
    max_ack_pending: i64,
    max_waiting: i64,
    prevent_delete: bool,
}

/// The policies that are used: the client library's own has fields for others.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Deliver {
    All,
    New,
}

/// A duration as Go writes it, with one unit.
fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    match unit {
        "s" => Duration::from_secs(number),
        "m" => Duration::from_mins(number),
        "h" => Duration::from_hours(number),
        _ => panic!("{text} has an unknown unit"),
    }
}

impl StreamSpec {
    /// As NACK's controller of streams makes it.
    fn config(&self) -> stream::Config {
        stream::Config {
            name: self.name.clone(),
            subjects: self.subjects.clone(),
            retention: self.retention,
            storage: self.storage,
            num_replicas: self.replicas,
            discard: self.discard,
            max_messages_per_subject: self.max_msgs_per_subject,
            max_age: self.max_age.as_deref().map(duration).unwrap_or_default(),
            duplicate_window: duration(&self.duplicate_window),
            subject_delete_marker_ttl: self.subject_delete_marker_ttl.as_deref().map(duration),
            allow_rollup: self.allow_rollup,
            deny_delete: self.deny_delete,
            allow_direct: self.allow_direct,
            allow_message_ttl: self.allow_msg_ttl,
            republish: self.republish.as_ref().map(|republish| Republish {
                source: republish.source.clone(),
                destination: republish.destination.clone(),
                headers_only: false,
            }),
            ..stream::Config::default()
        }
    }
}

impl ObjectStoreSpec {
    /// As the client library of NACK's controller makes an object store (ADR-20).
    fn config(&self) -> stream::Config {
        let bucket = &self.bucket;
        stream::Config {
            name: format!("OBJ_{bucket}"),
            subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
            storage: self.storage,
            num_replicas: self.replicas,
            max_age: duration(&self.ttl),
            discard: DiscardPolicy::New,
            allow_rollup: true,
            allow_direct: true,
            ..stream::Config::default()
        }
    }
}

impl ConsumerSpec {
    fn config(&self) -> consumer::Config {
        consumer::Config {
            durable_name: Some(self.durable_name.clone()),
            deliver_policy: match self.deliver_policy {
                Deliver::All => consumer::DeliverPolicy::All,
                Deliver::New => consumer::DeliverPolicy::New,
            },
            filter_subject: self.filter_subject.clone(),
            replay_policy: self.replay_policy,
            ack_policy: self.ack_policy,
            ack_wait: duration(&self.ack_wait),
            max_deliver: self.max_deliver,
            max_ack_pending: self.max_ack_pending,
            max_waiting: self.max_waiting,
            ..consumer::Config::default()
        }
    }
}

fn resources() -> Vec<Resource> {
    let mut resources = Vec::new();
    for path in
        files("kubernetes/components/nack").iter().filter(|path| !path.ends_with("kustomization.yaml"))
    {
        for mut document in documents(path.strip_prefix(root()).unwrap().to_str().unwrap()) {
            assert_eq!(text(&document, "/apiVersion"), "jetstream.nats.io/v1beta2");
            document.as_object_mut().unwrap().retain(|key, _| key == "kind" || key == "spec");
            resources.push(serde_json::from_value(document).unwrap());
        }
    }
    resources
}

/// The settings that the resources are for, and an account to try them in: a single server has no place for copies.
async fn single(manage_topology: bool, account: &nats::NatsAccount) -> (Settings, Connection) {
    let mut settings = of_kubernetes(true);
    settings.nats = account.settings();
    settings.nats.manage_topology = manage_topology;
    let connection = queue::connect(&settings.nats, "test").await.unwrap();
    (settings, connection)
}

/// Does what NACK does.
pub(super) async fn apply(connection: &Connection) {
    let jetstream = &connection.jetstream;
    let resources = resources();
    for resource in &resources {
        let config = match resource {
            Resource::Stream(stream) => stream.config(),
            Resource::ObjectStore(store) => store.config(),
            Resource::Consumer(_) => continue,
        };
        jetstream.create_stream(stream::Config { num_replicas: 1, ..config }).await.unwrap();
    }
    for resource in &resources {
        let Resource::Consumer(consumer) = resource else { continue };
        let config = pull::Config::try_from_consumer_config(consumer.config()).unwrap();
        jetstream.create_consumer_on_stream(config, consumer.stream_name.as_str()).await.unwrap();
    }
}

/// Every stream and consumer of an account, field by field, as the server says.
pub(super) async fn definitions(connection: &Connection) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let infos: Vec<stream::Info> = connection.jetstream.streams().try_collect().await.unwrap();
    for info in infos {
        let name = info.config.name.clone();
        let stream = connection.jetstream.get_stream(&name).await.unwrap();
        let consumers: Vec<consumer::Info> = stream.consumers().try_collect().await.unwrap();
        for consumer in consumers {
            let key = format!("{name}/{}", consumer.name);
            found.insert(key, serde_json::to_value(consumer.config).unwrap());
        }
        found.insert(name, serde_json::to_value(info.config).unwrap());
    }
    found
}

#[tokio::test]
async fn what_nack_creates_is_what_a_worker_creates_field_by_field() {
    let (by_nack, by_worker) = (nats::account(), nats::account());
    let (_, nack) = single(false, &by_nack).await;
    apply(&nack).await;
    let (settings, worker) = single(true, &by_worker).await;
    topology::ensure(&worker, &settings).await.unwrap();
    let (nack, worker) = (definitions(&nack).await, definitions(&worker).await);
    assert_eq!(nack.keys().collect::<Vec<_>>(), worker.keys().collect::<Vec<_>>());
    for (name, definition) in worker {
        assert_eq!(nack[&name], definition, "{name}");
    }
}

#[tokio::test]
async fn a_worker_that_only_checks_is_content_with_what_nack_creates() {
    let account = nats::account();
    let (settings, connection) = single(false, &account).await;
    apply(&connection).await;
    topology::ensure(&connection, &settings).await.unwrap();
}

#[test]
fn the_resources_have_as_many_copies_as_the_workers_look_for_and_outlive_their_manifests() {
    let copies = of_kubernetes(true).nats.replicas;
    for resource in resources() {
        let (replicas, prevent_delete) = match resource {
            Resource::Stream(stream) => (stream.replicas, stream.prevent_delete),
            Resource::ObjectStore(store) => (store.replicas, store.prevent_delete),
            Resource::Consumer(consumer) => (copies, consumer.prevent_delete),
        };
        assert_eq!((replicas, prevent_delete), (copies, true));
    }
}
