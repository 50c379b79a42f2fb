//! How a command ends, as exit codes that scripts rely on.

use std::process::ExitCode;

pub(super) use crate::text::chain;

const RUN_FAILED: u8 = 1;
const REFUSED: u8 = 2;
const OUT_OF_REACH: u8 = 3;

/// A command that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// Everything is well: exit code 0.
    Well,
    /// A run that was waited for did not pass: exit code 1.
    WithFailedRuns,
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
        }
    }
}

impl From<CliError> for ExitCode {
    fn from(error: CliError) -> Self {
        match error {
            CliError::Refused(_) => Self::from(REFUSED),
            CliError::OutOfReach(_) => Self::from(OUT_OF_REACH),
        }
    }
}
