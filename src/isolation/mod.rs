//! Runs in processes of their own: nothing that one run does, or that is done to it, reaches another run or the worker.
//!
//! The worker ([`Processes`]) resolves what the run needs, starts a process of this program with nothing in its environment,
//! and tells it the [`Plan`] over the pipe; that is the only way in which a credential gets there. The process ([`child`]) is a
//! whole run plane over that plan: planner, adapters, models, telemetry, simulation. What it cannot do itself it asks the
//! worker for: to store a step, to publish it, to keep a call on a cassette, to say when a call may be made that is limited.
//!
//! The worker believes nothing: it stamps ids itself, bounds every message, and makes an outcome of whatever goes wrong.

pub mod child;
mod frames;
mod parent;
mod plan;
mod snapshot;

pub use frames::MOST_FRAME_BYTES;
pub use parent::{Launcher, Processes, Shelf};
pub use plan::{Plan, PlanSettings};
pub use snapshot::Snapshot;
