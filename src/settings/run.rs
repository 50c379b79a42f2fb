//! How runs are played.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const RUN_TIMEOUT_SECONDS: u64 = 900;
const RUN_STALL_TIMEOUT_SECONDS: u64 = 600;
/// An agent that ends a session does little, and the outcome waits for it.
const RUN_SESSION_END_SECONDS: u64 = 10;
const RUN_MAX_TURNS: u32 = 10;
const RUN_DEFAULT_SET_ID: &str = "default";
const RUN_PROCESS_MEMORY_BYTES: u64 = 512 * 1024 * 1024;
const RUN_PROCESS_KILL_GRACE_SECONDS: u64 = 5;

/// Where a run executes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In a task of this process.
    #[default]
    Task,
    /// In a child process.
    Process,
}

/// Defaults of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Time for a run that asks for none.
    pub timeout_seconds: u64,
    /// A run that finishes no step for this long is given up.
    pub stall_timeout_seconds: u64,
    /// Whether a run that took too long is judged on what it has.
    pub judge_on_timeout: bool,
    /// How long the outcome may wait for an agent to end its session.
    pub session_end_seconds: u64,
    /// Turns of a run whose request and scenario ask for none.
    pub max_turns: u32,
    /// The set of a run that names none.
    pub default_set_id: String,
    /// The model of a project that has no default, as `provider/model`.
    pub default_model: Option<String>,
    /// Where a run executes.
    pub isolation: Isolation,
    /// The process of a run that has one.
    pub process: ProcessSettings,
}

/// The process of a run that has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessSettings {
    /// Memory that it may ask for.
    pub memory_bytes: u64,
    /// How long it may take to end when it is told to, before it is killed.
    pub kill_grace_seconds: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            timeout_seconds: RUN_TIMEOUT_SECONDS,
            stall_timeout_seconds: RUN_STALL_TIMEOUT_SECONDS,
            judge_on_timeout: true,
            session_end_seconds: RUN_SESSION_END_SECONDS,
            max_turns: RUN_MAX_TURNS,
            default_set_id: RUN_DEFAULT_SET_ID.to_owned(),
            default_model: None,
            isolation: Isolation::Task,
            process: ProcessSettings::default(),
        }
    }
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self { memory_bytes: RUN_PROCESS_MEMORY_BYTES, kill_grace_seconds: RUN_PROCESS_KILL_GRACE_SECONDS }
    }
}

impl ProcessSettings {
    /// How long it may take to end when it is told to, before it is killed.
    #[must_use]
    pub fn kill_grace(&self) -> Duration {
        Duration::from_secs(self.kill_grace_seconds)
    }
}

impl RunSettings {
    /// Time for a run that asks for none.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

impl RunSettings {
    /// A run that finishes no step for this long is given up.
    #[must_use]
    pub fn stall_timeout(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_seconds)
    }

    /// How long the outcome may wait for an agent to end its session.
    #[must_use]
    pub fn session_end(&self) -> Duration {
        Duration::from_secs(self.session_end_seconds)
    }
}
