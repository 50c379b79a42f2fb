//! Creating, updating and checking one stream or consumer.

use async_nats::jetstream::consumer::{self, FromConsumer as _, PullConsumer, pull};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{self, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use serde::Serialize;

use super::drift::{Differences, compare};
use super::spec::{ConsumerSpec, StreamSpec};
use super::{Connection, TopologyError};

/// Applies definitions, or only checks them.
pub(super) struct Applier<'a> {
    jetstream: &'a Context,
    manage: bool,
}

impl<'a> Applier<'a> {
    pub(super) fn new(connection: &'a Connection, manage: bool) -> Self {
        Self { jetstream: &connection.jetstream, manage }
    }

    /// The stream, as `spec` asks.
    pub(super) async fn stream(&self, spec: &StreamSpec) -> Result<Stream, TopologyError> {
        let what = format!("stream {}", spec.name);
        let found = self.find_stream(spec, &what).await?;
        let base = found.as_ref().map(|stream| stream.cached_info().config.clone());
        let wanted = spec.over(base.clone().unwrap_or_default());
        let differences = differences(&what, &wanted, base.as_ref())?;
        let stream = match found {
            Some(stream) if differences.0.is_empty() => return Ok(stream),
            found => self.define_stream(wanted, found.is_some(), what.clone(), differences).await?,
        };
        let returned = &stream.cached_info().config;
        check(what, &spec.over(returned.clone()), returned)?;
        Ok(stream)
    }

    /// The consumer, as `spec` asks.
    pub(super) async fn consumer(&self, spec: &ConsumerSpec) -> Result<PullConsumer, TopologyError> {
        let what = format!("consumer {} of stream {}", spec.name, spec.stream);
        let found = self.find_consumer(spec, &what).await?;
        let wanted = spec.over(found.clone().unwrap_or_default());
        let differences = differences(&what, &wanted, found.as_ref())?;
        if found.is_none() || !differences.0.is_empty() {
            self.may_define(found.is_some(), &what, &differences)?;
            self.define_consumer(spec, wanted, &what, differences).await?;
        }
        let consumer: PullConsumer = self
            .jetstream
            .get_consumer_from_stream(&spec.name, spec.stream)
            .await
            .map_err(|error| unreadable(&what, error))?;
        let returned = &consumer.cached_info().config;
        check(what, &spec.over(returned.clone()), returned)?;
        Ok(consumer)
    }

    async fn find_stream(&self, spec: &StreamSpec, what: &str) -> Result<Option<Stream>, TopologyError> {
        match self.jetstream.get_stream(&spec.name).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(unreadable(what, error)),
            },
        }
    }

    async fn find_consumer(
        &self,
        spec: &ConsumerSpec,
        what: &str,
    ) -> Result<Option<consumer::Config>, TopologyError> {
        let stream =
            self.jetstream.get_stream_no_info(spec.stream).await.map_err(|error| unreadable(what, error))?;
        match stream.consumer_info(&spec.name).await {
            Ok(info) => Ok(Some(info.config)),
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(what, error)),
        }
    }

    fn may_define(&self, exists: bool, what: &str, differences: &Differences) -> Result<(), TopologyError> {
        match (self.manage, exists) {
            (true, _) => Ok(()),
            (false, false) => Err(TopologyError::Missing { what: what.to_owned() }),
            (false, true) => {
                Err(TopologyError::Drift { what: what.to_owned(), differences: differences.clone() })
            }
        }
    }

    async fn define_stream(
        &self,
        config: stream::Config,
        exists: bool,
        what: String,
        differences: Differences,
    ) -> Result<Stream, TopologyError> {
        self.may_define(exists, &what, &differences)?;
        let name = config.name.clone();
        // Another worker may create the stream at this moment, so that an update is needed after all.
        match self.jetstream.create_or_update_stream(config).await {
            Ok(_) => self.jetstream.get_stream(&name).await.map_err(|error| unreadable(&what, error)),
            Err(error) => Err(TopologyError::Refused { what, differences, source: Box::new(error) }),
        }
    }

    async fn define_consumer(
        &self,
        spec: &ConsumerSpec,
        config: consumer::Config,
        what: &str,
        differences: Differences,
    ) -> Result<(), TopologyError> {
        let refused = |source| TopologyError::Refused {
            what: what.to_owned(),
            differences: differences.clone(),
            source,
        };
        let config = pull::Config::try_from_consumer_config(config).map_err(refused)?;
        let defined: Result<PullConsumer, _> =
            self.jetstream.create_consumer_on_stream(config, spec.stream).await;
        defined.map(drop).map_err(|error| refused(Box::new(error)))
    }
}

/// What is missing altogether differs in nothing: it is created as wanted.
fn differences<T: Serialize>(
    what: &str,
    wanted: &T,
    found: Option<&T>,
) -> Result<Differences, TopologyError> {
    let Some(found) = found else { return Ok(Differences::default()) };
    compare(wanted, found).map_err(|error| unreadable(what, error))
}

fn check<T: Serialize>(what: String, wanted: &T, returned: &T) -> Result<(), TopologyError> {
    let differences = differences(&what, wanted, Some(returned))?;
    if differences.0.is_empty() { Ok(()) } else { Err(TopologyError::Drift { what, differences }) }
}

fn unreadable(what: &str, source: impl Into<async_nats::Error>) -> TopologyError {
    TopologyError::Unreadable { what: what.to_owned(), source: source.into() }
}
