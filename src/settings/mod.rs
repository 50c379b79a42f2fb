//! Every setting, its default and its rules.
//!
//! Layers, later ones win: `config/default.toml` (embedded), the file of `--config`, the environment
//! (`SCENARIO_WORKER__SECTION__KEY`), flags. Unknown keys are refused; all problems are listed at once.

mod load;
mod nats;
mod places;
mod secret_file;
mod sections;
mod validation;

pub use load::{DEFAULT_CONFIG, ENVIRONMENT_PREFIX, SettingsError, load};
pub use nats::{NatsSettings, TlsSettings};
pub use places::{Problem, unread_variables};
pub use secret_file::{SecretFileError, SecretSource, read_secret};
pub use sections::{
    CassetteSettings, ConsumerSettings, EgressSettings, EventSettings, HistorySettings, HttpSettings,
    Isolation, LogFormat, LogSettings, PoolSettings, ProcessSettings, ReceiverSettings, RequestSettings,
    RunSettings, RunTelemetrySettings, Settings, SinkSettings, SpoolSettings, StoreSettings, StoreTlsMode,
    StoreTlsSettings, TelemetrySettings, WorkerSettings, WorkerTelemetrySettings,
};
pub(crate) use validation::store_url_problem;

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
    fn a_list_may_be_written_with_commas_in_the_environment() {
        for (text, expected) in [
            ("127.0.0.1", vec!["127.0.0.1"]),
            ("tools.internal, 10.0.0.5,", vec!["tools.internal", "10.0.0.5"]),
            (r#"["tools.internal", "fd00::7"]"#, vec!["tools.internal", "fd00::7"]),
            ("", vec![]),
        ] {
            let settings = load(None, variables(&[("SCENARIO_WORKER__EGRESS__ALLOWED_HOSTS", text)]), &[]);
            assert_eq!(settings.unwrap().egress.allowed_hosts, expected, "{text}");
        }
        let section = load(None, variables(&[("SCENARIO_WORKER__STORE", "sqlite://other.db")]), &[]);
        assert!(section.is_err(), "a text is no section");
    }

    #[test]
    fn every_problem_is_listed_at_once_with_its_name() {
        let environment = variables(&[
            ("SCENARIO_WORKER__WORKER__CONCURRENCY", "many"),
            ("SCENARIO_WORKER__WORKER__CONCURENCY", "4"),
            ("SCENARIO_WORKER__CONSUMER__ACK_WAIT_SECONDS", "1"),
            ("SCENARIO_WORKER__RUN__PROCESS__MEMORY_BYTES", "1024"),
            ("SCENARIO_WORKER__STORE__URL", "mysql://u:hunter2@h/d"),
        ]);
        let error = load(None, environment, &[]).unwrap_err().to_string();
        for part in [
            "`worker.concurrency` is \"many\"",
            "concurency",
            "`consumer.ack_wait_seconds` is 1",
            "`run.process.memory_bytes` is 1024; it must be at least 67108864",
            "'mysql:'",
        ] {
            assert!(error.contains(part), "{part} is missing in:\n{error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }

    const LIMITS: [(&str, &str, u64); 28] = [
        ("NATS__REPLICAS", "nats.replicas", 5),
        ("WORKER__CONCURRENCY", "worker.concurrency", 1_000_000),
        ("WORKER__DRAIN_SECONDS", "worker.drain_seconds", 31_536_000),
        ("CONSUMER__ACK_WAIT_SECONDS", "consumer.ack_wait_seconds", 31_536_000),
        ("CONSUMER__PULL_EXPIRES_SECONDS", "consumer.pull_expires_seconds", 31_536_000),
        ("RUN__TIMEOUT_SECONDS", "run.timeout_seconds", crate::events::MAX_TIMEOUT_SECONDS),
        ("RUN__STALL_TIMEOUT_SECONDS", "run.stall_timeout_seconds", 31_536_000),
        ("RUN__SESSION_END_SECONDS", "run.session_end_seconds", 60),
        ("RUN__MAX_TURNS", "run.max_turns", 100),
        ("RUN__PROCESS__KILL_GRACE_SECONDS", "run.process.kill_grace_seconds", 31_536_000),
        ("EVENTS__FAILED_RETENTION_SECONDS", "events.failed_retention_seconds", 31_536_000),
        ("EVENTS__COMPLETED_RETENTION_SECONDS", "events.completed_retention_seconds", 31_536_000),
        ("EVENTS__PROGRESS_RETENTION_SECONDS", "events.progress_retention_seconds", 31_536_000),
        ("CASSETTES__RETENTION_SECONDS", "cassettes.retention_seconds", 31_536_000),
        ("REQUESTS__DEDUP_WINDOW_SECONDS", "requests.dedup_window_seconds", 31_536_000),
        ("TELEMETRY__RUN__DEADLINE_SECONDS", "telemetry.run.deadline_seconds", 31_536_000),
        ("TELEMETRY__SPOOL__RETENTION_SECONDS", "telemetry.spool.retention_seconds", 31_536_000),
        ("TELEMETRY__SPOOL__RETRY_SECONDS", "telemetry.spool.retry_seconds", 31_536_000),
        ("TELEMETRY__SINK__TIMEOUT_SECONDS", "telemetry.sink.timeout_seconds", 3_600),
        ("TELEMETRY__SINK__RETRY_SECONDS", "telemetry.sink.retry_seconds", 31_536_000),
        ("TELEMETRY__SINK__RETENTION_SECONDS", "telemetry.sink.retention_seconds", 31_536_000),
        ("TELEMETRY__SPOOL__MAX_BYTES", "telemetry.spool.max_bytes", 1 << 50),
        ("STORE__STATEMENT_TIMEOUT_SECONDS", "store.statement_timeout_seconds", 3_600),
        ("STORE__POOL__MAX_CONNECTIONS", "store.pool.max_connections", 1_000),
        ("STORE__POOL__ACQUIRE_TIMEOUT_SECONDS", "store.pool.acquire_timeout_seconds", 3_600),
        ("STORE__POOL__IDLE_TIMEOUT_SECONDS", "store.pool.idle_timeout_seconds", 31_536_000),
        ("STORE__POOL__MAX_LIFETIME_SECONDS", "store.pool.max_lifetime_seconds", 31_536_000),
        ("HISTORY__RETENTION_SECONDS", "history.retention_seconds", 315_360_000),
    ];

    #[test]
    fn what_is_beyond_its_limit_is_refused_with_the_limit_and_named_once() {
        let with = |beyond: u64| {
            LIMITS.map(|(name, _, most)| (format!("SCENARIO_WORKER__{name}"), (most + beyond).to_string()))
        };
        load(None, with(0), &[]).expect("the limits themselves can be used");
        let Err(SettingsError::Invalid(problems)) = load(None, with(1), &[]) else {
            panic!("nothing is refused")
        };
        assert_eq!(problems.len(), LIMITS.len(), "{problems:?}");
        let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        for (_, name, most) in LIMITS {
            let expected = format!("`{name}` is {}; it must be at most {most}", most + 1);
            assert!(problems.contains(&expected), "{expected} is missing in {problems:?}");
        }
    }

    #[test]
    fn no_complaint_repeats_what_may_be_a_credential() {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        let urls = r#"url = ["nats://u:hunter2@a", "nats://u:hunter2@b"]"#;
        let keys = "encryption_keys = { first = \"hunter2\" }\nencryption_keys_file = \"keys\"";
        writeln!(file, "[nats]\n{urls}\n[store]\n{keys}").unwrap();
        for environment in [&[][..], &[("SCENARIO_WORKER__STORE__ENCRYPTION_KEYS", "hunter2")]] {
            let error = load(Some(file.path()), variables(environment), &[]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            for part in ["`nats.url` is a list", "`store.encryption_keys"] {
                assert!(error.contains(part), "{part} is missing in:\n{error}");
            }
        }
    }

    #[test]
    fn settings_print_no_url_that_may_hold_a_password() {
        let mut settings = Settings::default();
        settings.nats.url = "nats://u:hunter2@h".to_owned();
        settings.store.url = "postgres://u:hunter2@h/d".to_owned();
        settings.nats.password = Some(crate::definitions::Secret::new("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused_by_their_number() {
        let environment = variables(&[("SCENARIO_WORKER__STORE__ENCRYPTION_KEYS", "hunter2")]);
        let error = load(None, environment, &[]).unwrap_err().to_string();
        assert!(error.contains("`store.encryption_keys`: key 1 ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_connection_that_would_prove_nothing_is_refused() {
        for (variables_given, complaint) in [
            (vec![("TLS__CA_FILE", "ca.pem"), ("TLS__MODE", "require")], "`store.tls.mode` is require"),
            (vec![("TLS__CERT_FILE", "client.pem")], "`store.tls.key_file`"),
            (vec![("POOL__MIN_CONNECTIONS", "9")], "`store.pool.min_connections` is 9"),
            (vec![("URL", "postgres://h/d?sslmode=require"), ("TLS__MODE", "verify-full")], "`sslmode`"),
            (vec![("URL", "sqlite://x.db"), ("TLS__MODE", "verify-full")], "`store.tls`"),
        ] {
            let with = |(name, value): &(&str, &str)| {
                (format!("SCENARIO_WORKER__STORE__{name}"), (*value).to_owned())
            };
            let error = load(None, variables_given.iter().map(with), &[]).unwrap_err().to_string();
            assert!(error.contains(complaint), "{complaint} is missing in:\n{error}");
        }
        let good = [("URL", "postgres://h/d"), ("TLS__CA_FILE", "ca.pem")];
        let with = good.map(|(name, value)| (format!("SCENARIO_WORKER__STORE__{name}"), value.to_owned()));
        load(None, with, &[]).unwrap();
    }

    #[test]
    fn a_folder_is_no_settings_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(Some(folder.path()), [], &[]).unwrap_err().to_string();
        assert!(error.contains("is a folder") && error.contains(folder.path().to_str().unwrap()), "{error}");
    }
}
