//! How a command ends, as exit codes that scripts rely on.

use std::process::ExitCode;

use super::signals::StopSignal;
pub(super) use crate::text::chain;

const RUN_FAILED: u8 = 1;
const UNHEALTHY: u8 = 1;
const REFUSED: u8 = 2;
const OUT_OF_REACH: u8 = 3;
/// As shells report a process that wrote where nobody read: 128 and the number of SIGPIPE.
const NOBODY_READS: u8 = 141;

/// A command that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// Everything is well: exit code 0.
    Well,
    /// A run that was waited for did not pass: exit code 1.
    WithFailedRuns,
    /// The worker that was asked is not alive: exit code 1.
    Unhealthy,
    /// It was told to stop before its end: the signal's exit code.
    Stopped(StopSignal),
}

/// A command that could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The request, the settings or a definition is wrong: exit code 2.
    #[error("{0}")]
    Refused(String),
    /// A server is out of reach: exit code 3.
    #[error("{0}")]
    OutOfReach(String),
    /// Whoever read the standard output went away, which nobody needs to be told: exit code 141.
    #[error("nobody reads the standard output")]
    NobodyReads,
}

impl CliError {
    /// The request, the settings or a definition is wrong.
    pub(super) fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }

    /// A server is out of reach; the causes are part of the message.
    pub(super) fn out_of_reach(error: &dyn std::error::Error) -> Self {
        Self::OutOfReach(chain(error))
    }
}

impl From<Finished> for ExitCode {
    fn from(finished: Finished) -> Self {
        match finished {
            Finished::Well => Self::SUCCESS,
            Finished::WithFailedRuns => Self::from(RUN_FAILED),
            Finished::Unhealthy => Self::from(UNHEALTHY),
            Finished::Stopped(signal) => Self::from(signal.exit_code()),
        }
    }
}

impl From<CliError> for ExitCode {
    fn from(error: CliError) -> Self {
        match error {
            CliError::Refused(_) => Self::from(REFUSED),
            CliError::OutOfReach(_) => Self::from(OUT_OF_REACH),
            CliError::NobodyReads => Self::from(NOBODY_READS),
        }
    }
}
