//! What the process has to say for the log goes to the worker, which has one.

use tracing::Level;

use super::line::Line;
use crate::isolation::frames::{FromChild, LogLevel};
use crate::telemetry::worker::{self, WorkerTelemetryError};

/// From now on, whatever this process has to say for the log goes over `line`.
///
/// # Errors
/// [`WorkerTelemetryError`] if something in this process logs already.
pub fn send_log(line: &Line) -> Result<(), WorkerTelemetryError> {
    let line = line.clone();
    worker::relay_log(move |level, text| {
        let level = if level == Level::ERROR { LogLevel::Error } else { LogLevel::Warn };
        line.say(&FromChild::Log { level, text });
    })
}
