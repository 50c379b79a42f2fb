//! A spool in memory.

use std::sync::Mutex;

use async_trait::async_trait;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::telemetry::export::Packed;
use scenario_worker::telemetry::receiver::{PROTOBUF, ReceivedSpan, decode};
use scenario_worker::telemetry::spool::{Parcel, SpanSpool};

/// What was kept, in order.
#[derive(Debug, Default)]
pub(crate) struct MemorySpool(Mutex<Vec<(Parcel, Packed)>>);

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
    async fn keep(&self, parcel: &Parcel, body: &Packed) -> Result<(), Unavailable> {
        self.0.lock().unwrap().push((parcel.clone(), body.clone()));
        Ok(())
    }
}
