//! How a command ends, as exit codes that scripts rely on.

use std::process::ExitCode;

use serde::Serialize;

use super::signals::StopSignal;
pub(super) use crate::text::chain;

/// Codes of errors for programs; each has an exit code of its own, but for `usage`, which is a kind of refusal.
const USAGE_CODE: &str = "usage";
const REFUSED_CODE: &str = "refused";
const OUT_OF_REACH_CODE: &str = "out_of_reach";

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
    /// As the error in it, and what to do next.
    #[error("{error}\n{hint}")]
    Hinted {
        /// What is the matter.
        error: Box<CliError>,
        /// What to do about it.
        hint: String,
    },
    /// As the error in it, of which programs were told on the standard output before.
    #[error("{0}")]
    Emitted(Box<CliError>),
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

    /// The same error, and what to do next.
    pub(super) fn hinted(self, hint: impl Into<String>) -> Self {
        Self::Hinted { error: Box::new(self), hint: hint.into() }
    }

    /// The same error with a hint, if there is one.
    pub(super) fn hinted_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hinted(hint),
            None => self,
        }
    }

    /// The same error, of which programs were told already if they were to be.
    pub(super) fn emitted_if(self, emitted: bool) -> Self {
        if emitted { Self::Emitted(Box::new(self)) } else { self }
    }

    /// The error for programs; none where they were told, or do not read.
    pub(super) fn for_programs(&self) -> Option<ErrorLine<'_>> {
        match self {
            Self::Refused(message) => Some(ErrorLine::new(REFUSED_CODE, message)),
            Self::OutOfReach(message) => Some(ErrorLine::new(OUT_OF_REACH_CODE, message)),
            Self::Hinted { error, hint } => error.for_programs().map(|line| line.hinted(hint)),
            Self::Emitted(_) | Self::NobodyReads => None,
        }
    }
}

/// What `--json` prints of an error, as one line.
#[derive(Debug, Serialize)]
pub(super) struct ErrorLine<'a> {
    error: ErrorBody<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> ErrorLine<'a> {
    fn new(code: &'static str, message: &'a str) -> Self {
        Self { error: ErrorBody { code, message, hint: None } }
    }

    /// A command line that cannot be understood.
    pub(super) fn usage(message: &'a str) -> Self {
        Self::new(USAGE_CODE, message)
    }

    fn hinted(self, hint: &'a str) -> Self {
        Self { error: ErrorBody { hint: Some(hint), ..self.error } }
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
            CliError::Hinted { error, .. } | CliError::Emitted(error) => (*error).into(),
        }
    }
}
