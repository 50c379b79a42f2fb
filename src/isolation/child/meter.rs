//! The calls of the run, which the worker counts together with all others.

use std::time::Duration;

use super::line::Line;
use crate::execution::metering::{CallEnd, CallKind, CallMeter};
use crate::isolation::frames::FromChild;

/// Tells the worker of each call that is over.
pub struct PipeMeter(pub Line);

impl CallMeter for PipeMeter {
    fn called(&self, kind: CallKind, end: CallEnd, took: Duration) {
        self.0.say(&FromChild::Called { kind, end, took });
    }
}
