//! The log of a process whose worker has the log: what is worth a look is handed on as text.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Hands errors and warnings on.
pub(super) struct Relayed<F>(pub(super) F);

impl<S: Subscriber, F: Fn(Level, String) + 'static> Layer<S> for Relayed<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level <= Level::WARN {
            let mut text = Text::default();
            event.record(&mut text);
            (self.0)(level, text.0);
        }
    }
}

/// An event in one line: its message, then its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" if self.0.is_empty() => write!(self.0, "{value:?}"),
            name if self.0.is_empty() => write!(self.0, "{name}={value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn errors_and_warnings_are_handed_on_in_one_line_and_nothing_else_is() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = told.clone();
        let relayed = Relayed(move |level, text| telling.lock().unwrap().push((level, text)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(relayed), || {
            tracing::error!(status = 503, "it failed");
            tracing::warn!(place = "here");
            tracing::info!("all is well");
        });
        let expected = [(Level::ERROR, "it failed status=503"), (Level::WARN, "place=here")];
        let told = told.lock().unwrap();
        let told: Vec<_> = told.iter().map(|(level, text)| (*level, text.as_str())).collect();
        assert_eq!(told, expected);
    }
}
