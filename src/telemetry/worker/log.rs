//! The log on stderr.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::WorkerTelemetryError;
use super::json::OneObject;
use crate::settings::LogFormat;

/// Variables with a log filter; the first that is set counts.
const FILTER_VARIABLES: [&str; 2] = ["SCENARIO_WORKER_LOG", "RUST_LOG"];
/// The filter where no variable is set: what the worker does, and of its libraries only what is wrong.
const DEFAULT_FILTER: &str = "info,async_nats=warn,h2=warn,hyper=warn,hyper_util=warn,opentelemetry=warn,\
                              opentelemetry_sdk=warn,opentelemetry_otlp=warn,reqwest=warn,rustls=warn,sqlx=warn,\
                              tower=warn";
/// Where the default filter is from, as errors name it.
const DEFAULT_SOURCE: &str = "this program";
/// The target of the exporters of the worker's own telemetry.
const EXPORTERS: &str = "opentelemetry-otlp";
/// Libraries that write down secrets if they are asked for everything, and how much they may be asked for: the broker's
/// client its messages, the pool of HTTP connections the user and the password of a URL, the exporters what an endpoint answers.
const TELLTALES: [(&str, Level); 3] =
    [("async_nats", Level::DEBUG), ("hyper_util::client::legacy", Level::INFO), (EXPORTERS, Level::INFO)];
/// Target of spans that are about messages and say more than a line of the log can bear: only traces have them.
pub const TRACES_ONLY: &str = "scenario_worker::messaging";
/// What the exporters' events are called that say of a failed export what the SDK says, too, with the reason.
const SAID_TWICE: &str = "Export.Failed.";
/// Set to anything, it asks for no colour (no-color.org).
const NO_COLOR: &str = "NO_COLOR";

/// What the environment says about the log.
pub(super) struct Environment {
    filter: Option<(&'static str, String)>,
    colour: bool,
}

impl Environment {
    pub(super) fn read() -> Self {
        Self::from(|name| std::env::var(name).ok(), std::io::stderr().is_terminal())
    }

    fn from(variable: impl Fn(&str) -> Option<String>, terminal: bool) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let filter = FILTER_VARIABLES.into_iter().find_map(|name| Some((name, set(name)?)));
        Self { filter, colour: terminal && set(NO_COLOR).is_none() }
    }

    fn filter(&self) -> Result<EnvFilter, WorkerTelemetryError> {
        let default = (DEFAULT_SOURCE, DEFAULT_FILTER.to_owned());
        let (variable, value) = self.filter.clone().unwrap_or(default);
        EnvFilter::builder().parse(&value).map_err(|source| WorkerTelemetryError::Filter {
            variable,
            value,
            source,
        })
    }
}

/// Writes lines to stderr.
pub(super) fn layer<S>(
    environment: &Environment,
    format: LogFormat,
) -> Result<Box<dyn Layer<S> + Send + Sync>, WorkerTelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let is_for_the_log =
        |event: &Metadata<'_>| event.target() != TRACES_ONLY && keeps_secrets(event) && !is_said_twice(event);
    let filter = environment.filter()?.and(filter_fn(is_for_the_log));
    Ok(match format {
        LogFormat::Text => lines.with_ansi(environment.colour).with_filter(filter).boxed(),
        LogFormat::Json => {
            lines.fmt_fields(JsonFields::new()).event_format(OneObject).with_filter(filter).boxed()
        }
    })
}

/// Makes a panic a line of the log, as everything else is where programs read it.
pub(super) fn panics_too() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let why = panic.payload_as_str().unwrap_or("a panic without words");
        tracing::error!(place, why, "a task panicked");
    }));
}

/// Whether an event is by none of the [`TELLTALES`], or as terse as it may be.
fn keeps_secrets(event: &Metadata<'_>) -> bool {
    TELLTALES.iter().all(|(target, most)| !event.target().starts_with(target) || event.level() <= most)
}

/// Whether somebody else says the same.
fn is_said_twice(event: &Metadata<'_>) -> bool {
    event.target().starts_with(EXPORTERS) && event.name().starts_with(SAID_TWICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)], terminal: bool) -> Environment {
        let find = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Environment::from(find, terminal)
    }

    #[test]
    fn the_programs_own_variable_wins_over_the_common_one() {
        let both = environment(&[("RUST_LOG", "trace"), ("SCENARIO_WORKER_LOG", "warn")], false);
        assert_eq!(both.filter().unwrap().to_string(), "warn");
        assert_eq!(environment(&[("RUST_LOG", "debug")], false).filter().unwrap().to_string(), "debug");
        assert!(environment(&[], false).filter().unwrap().to_string().contains("async_nats=warn"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named_with_its_variable() {
        let error = environment(&[("RUST_LOG", "a=b=c")], false).filter().unwrap_err().to_string();
        assert!(error.contains("RUST_LOG is 'a=b=c'"), "{error}");
    }

    #[test]
    fn colour_is_for_terminals_whose_user_wants_it() {
        assert!(environment(&[], true).colour);
        assert!(environment(&[("NO_COLOR", "")], true).colour);
        assert!(!environment(&[("NO_COLOR", "1")], true).colour);
        assert!(!environment(&[], false).colour);
    }
}
