//! A spool in memory.

use std::sync::Mutex;

use async_trait::async_trait;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use scenario_worker::telemetry::export::Packed;
use scenario_worker::telemetry::receiver::{PROTOBUF, ReceivedSpan, decode};
use scenario_worker::telemetry::spool::{NotKept, Parcel, SpanSpool};

/// What was kept, in order.
#[derive(Debug, Default)]
pub(crate) struct MemorySpool(Mutex<Vec<(Parcel, Packed)>>);

/// It never has room.
#[derive(Debug)]
pub(crate) struct FullSpool;

/// What others keep in a spool that is full.
pub(crate) const KEPT_BY_OTHERS: u64 = 2_936_258;

#[async_trait]
impl SpanSpool for FullSpool {
    async fn keep(&self, _: &Parcel, _: &Packed) -> Result<(), NotKept> {
        Err(NotKept::Full { used: KEPT_BY_OTHERS, most: KEPT_BY_OTHERS })
    }
}

impl MemorySpool {
    /// What was kept.
    pub(crate) fn parcels(&self) -> Vec<(Parcel, Packed)> {
        self.0.lock().unwrap().clone()
    }

    /// The spans in it.
    pub(crate) fn spans(&self) -> Vec<ReceivedSpan> {
        let spans = |(_, packed): (Parcel, Packed)| {
            let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))]);
            headers.extend(packed.gzip.then_some((CONTENT_ENCODING, HeaderValue::from_static("gzip"))));
            decode(&headers, &packed.body).unwrap()
        };
        self.parcels().into_iter().flat_map(spans).collect()
    }
}

#[async_trait]
impl SpanSpool for MemorySpool {
    async fn keep(&self, parcel: &Parcel, body: &Packed) -> Result<(), NotKept> {
        self.0.lock().unwrap().push((parcel.clone(), body.clone()));
        Ok(())
    }
}
