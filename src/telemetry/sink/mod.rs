//! Telling LangWatch of runs as they happen: the events of a run, in the wire format of its `POST /api/scenario-events`.
//!
//! A [`Story`] is what the stream has of a run. What the platform knows already is the run's [`Progress`], and both together
//! decide the next [`Post`]: the start, then the messages so far, then the end, each once and in this order. After a crash the
//! last one may be posted again; it is then the same as before, which the platform takes for what it is.

mod cutting;
mod ending;
mod post;
mod progress;
mod sender;
mod story;
mod wire;

pub use post::{Body, Post};
pub use progress::Progress;
pub use sender::{NotTaken, Remedy, SinkSender};
pub use story::{Entry, Story};
