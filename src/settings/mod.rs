//! Every setting, its default and its rules.
//!
//! Layers, later ones win: `config/default.toml` (embedded), the file of `--config`, the environment
//! (`SCENARIO_WORKER__SECTION__KEY`), flags. Unknown keys are refused; all problems are listed at once.

mod load;
mod sections;
mod validation;

pub use load::{DEFAULT_CONFIG, ENVIRONMENT_PREFIX, SettingsError, load};
pub use sections::{
    ConsumerSettings, EgressSettings, EventSettings, HttpSettings, Isolation, NatsSettings, RequestSettings,
    RunSettings, RunTelemetrySettings, Settings, StoreSettings, TelemetrySettings, TlsSettings,
    WorkerSettings, WorkerTelemetrySettings,
};

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        assert_eq!(load(None, [], &[]).unwrap(), Settings::default());
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file() {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        writeln!(file, "[worker]\nconcurrency = 2\n[run]\nmax_turns = 3\ntimeout_seconds = 4").unwrap();
        let environment = variables(&[
            ("SCENARIO_WORKER__RUN__MAX_TURNS", "5"),
            ("SCENARIO_WORKER__RUN__TIMEOUT_SECONDS", "6"),
        ]);
        let settings = load(Some(file.path()), environment, &[("run.timeout_seconds", "7".into())]).unwrap();
        assert_eq!(
            (settings.worker.concurrency, settings.run.max_turns, settings.run.timeout_seconds),
            (2, 5, 7)
        );
    }

    #[test]
    fn every_problem_is_listed_at_once_with_its_name() {
        let environment = variables(&[
            ("SCENARIO_WORKER__WORKER__CONCURRENCY", "many"),
            ("SCENARIO_WORKER__WORKER__CONCURENCY", "4"),
            ("SCENARIO_WORKER__CONSUMER__ACK_WAIT_SECONDS", "1"),
            ("SCENARIO_WORKER__STORE__URL", "mysql://u:hunter2@h/d"),
        ]);
        let error = load(None, environment, &[]).unwrap_err().to_string();
        for part in
            ["`worker.concurrency` is \"many\"", "concurency", "`consumer.ack_wait_seconds` is 1", "'mysql:'"]
        {
            assert!(error.contains(part), "{part} is missing in:\n{error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}
