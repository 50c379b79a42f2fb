//! How pieces of work look as spans: names, kinds, attributes, events and status.

mod capture;
mod closing;
mod note;
mod opening;
mod resource;
mod verdict;

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};

pub(super) use capture::{is_name, without_words};
pub(super) use closing::{Circumstances, abandoned, closing};
pub(super) use note::note;
pub(super) use opening::{opening, root};
pub(super) use resource::{common, resource, scope};

/// How a span begins.
pub(super) struct Opening {
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) work: Work,
    pub(super) attributes: Vec<KeyValue>,
    /// `None` is now.
    pub(super) started_at: Option<SystemTime>,
}

/// What a span stands for. How its end looks depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Run,
    Turn,
    UserSimulator,
    Target,
    Judge,
    Chat,
    Tool,
}

/// How a span ends.
pub(super) struct Closing {
    pub(super) attributes: Vec<KeyValue>,
    pub(super) events: Vec<(&'static str, Vec<KeyValue>)>,
    pub(super) status: Status,
}
