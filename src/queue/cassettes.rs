//! The library of cassettes: calls and recordings as objects.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::objects::{Objects, digest};
use super::{Connection, Topology};
use crate::events::subjects;
use crate::events::{ProjectId, RunId};
use crate::execution::cassette::{CassetteKey, CassetteLibrary, Exchange, Place, Recording};
use crate::execution::failure::Unavailable;

/// Cassettes in the object store of the broker.
#[derive(Debug, Clone)]
pub struct Cassettes {
    connection: Connection,
    objects: Option<Objects>,
}

impl Cassettes {
    /// In the object store of `topology`.
    #[must_use]
    pub fn new(connection: &Connection, topology: &Topology) -> Self {
        Self { connection: connection.clone(), objects: Some(Objects::new(connection, &topology.cassettes)) }
    }

    /// In whatever object store there is when a cassette is needed: for who only looks whether there is one.
    #[must_use]
    pub fn at(connection: &Connection) -> Self {
        Self { connection: connection.clone(), objects: None }
    }

    async fn objects(&self) -> Result<Objects, Unavailable> {
        if let Some(objects) = &self.objects {
            return Ok(objects.clone());
        }
        let bucket = subjects::CASSETTES_BUCKET;
        let store = self.connection.jetstream.get_object_store(bucket).await;
        let store =
            store.map_err(|error| Unavailable::new(format!("opening the object store {bucket}"), error))?;
        Ok(Objects::new(&self.connection, &store))
    }

    async fn write(&self, name: &str, what: &impl Serialize) -> Result<(), Unavailable> {
        let bytes =
            serde_json::to_vec(what).map_err(|error| Unavailable::new(format!("writing {name}"), error))?;
        self.objects().await?.put(name, &bytes).await
    }

    async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Unavailable> {
        let Some(bytes) = self.objects().await?.get(name).await? else { return Ok(None) };
        let what = serde_json::from_slice(&bytes);
        what.map(Some).map_err(|error| Unavailable::new(format!("reading {name}"), error))
    }

    /// What no cassette holds any more is deleted. What a crash leaves behind expires.
    async fn forget(&self, project: &ProjectId, recording: &Recording) -> Result<(), Unavailable> {
        let objects = self.objects().await?;
        for (lane, calls) in &recording.calls {
            for number in 0..*calls {
                objects.discard(&call(project, &recording.run, &Place { lane: lane.clone(), number })).await;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl CassetteLibrary for Cassettes {
    async fn recording(&self, cassette: &CassetteKey) -> Result<Option<Recording>, Unavailable> {
        self.read(&label(cassette)).await
    }

    async fn publish(&self, cassette: &CassetteKey, recording: &Recording) -> Result<(), Unavailable> {
        let before = self.recording(cassette).await?;
        self.write(&label(cassette), recording).await?;
        match before {
            Some(before) if before.run != recording.run => self.forget(&cassette.project, &before).await,
            _ => Ok(()),
        }
    }

    async fn keep(
        &self,
        project: &ProjectId,
        run: &RunId,
        place: &Place,
        exchange: &Exchange,
    ) -> Result<(), Unavailable> {
        self.write(&call(project, run, place), exchange).await
    }

    async fn recall(
        &self,
        project: &ProjectId,
        run: &RunId,
        place: &Place,
    ) -> Result<Option<Exchange>, Unavailable> {
        self.read(&call(project, run, place)).await
    }
}

/// The object that says which recording a cassette holds. Its name may be any text, so a digest stands for it.
fn label(cassette: &CassetteKey) -> String {
    format!("cassette.{}.{}", cassette.project, digest(cassette.name.as_bytes()))
}

fn call(project: &ProjectId, run: &RunId, Place { lane, number }: &Place) -> String {
    format!("call.{project}.{run}.{lane}.{number}")
}
