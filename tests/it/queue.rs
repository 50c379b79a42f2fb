//! Tests of `queue` against a real server, each with an account of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod cancelling;
mod cassettes;
mod consuming;
mod dead_letters;
mod feed;
mod leases;
mod limiting;
mod permissions;
mod poison;
mod publishing;
mod run_states;
mod scheduling;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use scenario_worker::queue::{self, Connection, Consumer, Delivery, Topology, topology as wanted};
use scenario_worker::settings::Settings;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::nats::{self, NatsAccount};

/// Longer than anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An account with its topology.
struct Broker {
    account: NatsAccount,
    settings: Settings,
    connection: Connection,
    topology: Topology,
}

impl Broker {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(nats::account(), change).await
    }

    async fn on(account: NatsAccount, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { nats: account.settings(), ..Settings::default() };
        change(&mut settings);
        let connection = queue::connect(&settings.nats, "test").await.unwrap();
        let topology = wanted::ensure(&connection, &settings).await.unwrap();
        Self { account, settings, connection, topology }
    }

    fn consumer(&self) -> Consumer {
        Consumer::new(&self.connection, &self.topology.requests, self.settings.consumer.pull_expires())
    }

    /// Stores a request.
    async fn publish(&self, payload: &str) {
        let stored = self.connection.jetstream.publish("scenario.run.requested", payload.to_owned().into());
        stored.await.unwrap().await.unwrap();
    }

    /// Starts a consumer with `slots` slots.
    fn consume(&self, slots: usize) -> Consuming {
        let (slots, stop) = (Arc::new(Semaphore::new(slots)), CancellationToken::new());
        let (sender, deliveries) = mpsc::unbounded_channel();
        let (consumer, theirs) = (self.consumer(), (Arc::clone(&slots), stop.clone()));
        let task = tokio::spawn(async move {
            consumer
                .run(theirs.0, theirs.1, move |delivery, slot| sender.send((delivery, slot)).unwrap())
                .await
        });
        Consuming { deliveries, slots, stop, task }
    }

    /// Messages that are delivered and not settled, as the server counts them.
    async fn ack_pending(&self) -> usize {
        self.topology.requests.get_info().await.unwrap().num_ack_pending
    }
}

/// A consumer at work.
struct Consuming {
    deliveries: mpsc::UnboundedReceiver<(Delivery, OwnedSemaphorePermit)>,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), queue::ConsumerError>>,
}

impl Consuming {
    async fn next(&mut self) -> (Delivery, OwnedSemaphorePermit) {
        within(self.deliveries.recv()).await.expect("the consumer goes on")
    }

    async fn stop(self) -> mpsc::UnboundedReceiver<(Delivery, OwnedSemaphorePermit)> {
        self.stop.cancel();
        within(self.task).await.unwrap().unwrap();
        self.deliveries
    }
}

/// Waits, but not for ever.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Waits until `condition` holds.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    const POLL: Duration = Duration::from_millis(20);
    within(async {
        while !condition().await {
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.payload().to_vec()).unwrap()
}
