//! Spans that their endpoints have not taken: the bodies as objects, a notice of each in a work queue, and for each run a
//! ledger of what became of them.

mod room;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tracing::warn;

use room::Room;

use super::bucket::{Bucket, Stored, WriteError};
use super::objects::Objects;
use super::publish::publish;
use super::topology::SPOOL_GRACE;
use super::{Connection, Consumer, Delivery, Topology};
use crate::events::{RunKey, subjects};
use crate::execution::failure::Unavailable;
use crate::settings::Settings;
use crate::telemetry::export::Packed;
use crate::telemetry::spool::{NotKept, Parcel, Settled, SpanSpool};

/// What became of the parcels of one run, by their names; `None` is not settled yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolLedger(BTreeMap<String, Option<Entry>>);

/// What became of one parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    spans: u64,
    settled: Settled,
}

impl SpoolLedger {
    /// Whether this parcel is settled.
    #[must_use]
    pub fn has_settled(&self, parcel: &Parcel) -> bool {
        self.0.get(&parcel.name).is_some_and(Option::is_some)
    }

    /// How many spans there were and what became of them, once every parcel is settled.
    #[must_use]
    pub fn total(&self) -> Option<(u64, Settled)> {
        self.0.values().cloned().try_fold((0, Settled::default()), |(spans, settled), entry| {
            entry.map(|entry| (spans + entry.spans, settled.plus(entry.settled)))
        })
    }
}

/// The spool in the broker.
#[derive(Clone)]
pub struct Spool {
    connection: Connection,
    objects: Objects,
    room: Room,
    ledgers: Bucket,
    notices: Consumer,
    ttl: Duration,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").finish_non_exhaustive()
    }
}

impl Spool {
    /// In the streams of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology, settings: &Settings) -> Self {
        Self {
            connection: connection.clone(),
            objects: Objects::new(connection, &topology.spans),
            room: Room::new(&topology.spans_stream, settings.telemetry.spool.max_bytes),
            ledgers: Bucket::new(connection, topology),
            notices: Consumer::new(connection, &topology.spooled, settings.consumer.pull_expires()),
            ttl: settings.telemetry.spool.retention() + SPOOL_GRACE,
        }
    }

    /// Where the notices come from.
    #[must_use]
    pub fn notices(&self) -> &Consumer {
        &self.notices
    }

    /// The parcel that `notice` is about; `None` if it cannot be read, or speaks of another project than its subject does.
    #[must_use]
    pub fn read(&self, notice: &Delivery) -> Option<Parcel> {
        let sequence = notice.stream_sequence();
        let parcel: Parcel = serde_json::from_slice(notice.payload())
            .inspect_err(
                |error| warn!(sequence, %error, "a notice of spooled spans cannot be read and is dropped"),
            )
            .ok()?;
        if notice.subject() == subjects::spooled(&parcel.ids.project_id) {
            return Some(parcel);
        }
        warn!(
            sequence,
            subject = notice.subject(),
            "a notice of spooled spans is another project's and is dropped"
        );
        None
    }

    /// The body of a parcel; `None` if it is gone.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn body(&self, parcel: &Parcel) -> Result<Option<Packed>, Unavailable> {
        let body = self.objects.get(&object(parcel)).await?;
        Ok(body.map(|body| Packed { body: body.into(), gzip: parcel.gzip }))
    }

    /// The ledger of a run.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long, or what it has cannot be read.
    pub async fn ledger(&self, run: &RunKey) -> Result<SpoolLedger, Unavailable> {
        Ok(self.read_ledger(&subjects::spool_key(run)).await?.1)
    }

    /// Writes down what became of a parcel, unless it is there already, and answers the ledger.
    ///
    /// # Errors
    /// [`Unavailable`] if the broker does not answer for long.
    pub async fn settle(&self, parcel: &Parcel, settled: Settled) -> Result<SpoolLedger, Unavailable> {
        let entry = Entry { spans: parcel.spans, settled };
        self.enter(parcel, |known| {
            known.get_or_insert_with(|| entry.clone());
        })
        .await
    }

    /// The body is not needed any more.
    pub async fn discard(&self, parcel: &Parcel) {
        self.objects.discard(&object(parcel)).await;
    }

    /// Compare-and-set: several workers may have parcels of one run.
    async fn enter(
        &self,
        parcel: &Parcel,
        change: impl Fn(&mut Option<Entry>),
    ) -> Result<SpoolLedger, Unavailable> {
        let key = subjects::spool_key(&parcel.ids.key());
        loop {
            let (revision, mut ledger) = self.read_ledger(&key).await?;
            change(ledger.0.entry(parcel.name.clone()).or_default());
            let value = encode(&key, &ledger)?;
            match self.ledgers.write(&key, value, Some(revision), Some(self.ttl)).await {
                Ok(_) => return Ok(ledger),
                Err(WriteError::WrongRevision) => {}
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(error @ WriteError::TooLarge(_)) => {
                    return Err(Unavailable::new(format!("writing the key {key}"), error));
                }
            }
        }
    }

    async fn read_ledger(&self, key: &str) -> Result<(u64, SpoolLedger), Unavailable> {
        let Stored { revision, value } = self.ledgers.read(key).await?;
        let Some(value) = value else { return Ok((revision, SpoolLedger::default())) };
        let ledger = serde_json::from_slice(&value);
        ledger.map(|ledger| (revision, ledger)).map_err(|error| unavailable("reading", key, error))
    }
}

#[async_trait]
impl SpanSpool for Spool {
    /// Body, then notice, then ledger: who has the notice has the body, and a run has its outcome only behind all three.
    async fn keep(&self, parcel: &Parcel, body: &Packed) -> Result<(), NotKept> {
        self.room.take(body.body.len()).await?;
        self.objects.put(&object(parcel), &body.body).await?;
        let subject = subjects::spooled(&parcel.ids.project_id);
        let mut headers = HeaderMap::new();
        headers.insert(subjects::HEADER_MESSAGE_ID, object(parcel));
        headers.insert(subjects::HEADER_CONTENT_TYPE, subjects::CONTENT_TYPE_JSON);
        let notice = encode(&subject, parcel)?;
        let published = publish(&self.connection.jetstream, &subject, &headers, &notice).await;
        published.map_err(|error| unavailable("publishing", &subject, error))?;
        self.enter(parcel, |_| {}).await?;
        Ok(())
    }
}

/// It begins with the project, so that a notice can name no other project's spans.
fn object(parcel: &Parcel) -> String {
    format!("{}.{}.{}", parcel.ids.project_id, parcel.ids.scenario_run_id, parcel.name)
}

fn encode(what: &str, value: &impl Serialize) -> Result<Bytes, Unavailable> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| unavailable("writing", what, error))
}

fn unavailable(
    doing: &str,
    what: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Unavailable {
    Unavailable::new(format!("{doing} {what}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(entries: &[(&str, Option<u64>)]) -> SpoolLedger {
        let entry = |spans: u64| Entry { spans, settled: Settled { exported: spans, ..Settled::default() } };
        SpoolLedger(entries.iter().map(|(name, spans)| ((*name).to_owned(), spans.map(entry))).collect())
    }

    #[test]
    fn a_run_is_settled_when_each_of_its_parcels_is() {
        assert_eq!(ledger(&[("a", Some(3)), ("b", None)]).total(), None);
        let (spans, settled) = ledger(&[("a", Some(3)), ("b", Some(4))]).total().unwrap();
        assert_eq!((spans, settled.exported), (7, 7));
    }
}
