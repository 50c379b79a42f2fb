//! What must hold between the settings.

use url::Url;

use super::{EgressSettings, ReceiverSettings, Settings, StoreSettings, StoreTlsSettings};
use crate::egress::EgressPolicy;
use crate::events::{MAX_TIMEOUT_SECONDS, MAX_TURNS_LIMIT, SetId};
use crate::store::Keyring;

/// The longest time that a setting may ask for, in seconds (365 days): beyond that the server counts in nanoseconds
/// that do not fit, and a mistyped number is likelier than a wish.
const MOST_SECONDS: u64 = 365 * 24 * 60 * 60;
/// The longest time that outcomes may wait for the ends of sessions, in seconds: a run that ends so long counts as alive.
const MOST_SESSION_END_SECONDS: u64 = 60;
/// Most runs in flight in one process: far more than one can hold, and less than a semaphore counts.
const MOST_CONCURRENCY: u64 = 1_000_000;
const _: () = assert!(MOST_CONCURRENCY <= tokio::sync::Semaphore::MAX_PERMITS as u64);
/// Most bytes of spans that are kept: one pebibyte, more than a broker has.
const MOST_SPOOLED_BYTES: u64 = 1 << 50;
/// Longest wait for spans of one call, in seconds: it comes before every judgement of a turn, and a minute is all that a run
/// has for its last one.
const MOST_SETTLE_SECONDS: u64 = 30;
/// Longest request to a platform that is told of runs, in seconds: an hour is more than any server waits.
const MOST_SINK_TIMEOUT_SECONDS: u64 = 60 * 60;
/// Longest statement and longest wait for a connection, in seconds: an hour is no wait any more.
const MOST_STORE_WAIT_SECONDS: u64 = 60 * 60;
/// Most connections of one process: ten times what a PostgreSQL server takes of all of them by default.
const MOST_CONNECTIONS: u64 = 1_000;
/// The longest time that history is kept, in seconds (ten years).
const MOST_HISTORY_SECONDS: u64 = 10 * MOST_SECONDS;
/// What is said of settings of `store.tls` that do not go together.
const CERT_WITHOUT_KEY: &str = "`store.tls.cert_file` and `store.tls.key_file` must be set together";
const TLS_TO_A_FILE: &str = "`store.tls` is set, and `store.url` is a file";
const TLS_SAID_TWICE: &str =
    "`store.url` says `sslmode` or its like, and `store.tls` is set; say it in one of them";
/// Most copies of a stream that JetStream keeps.
const MOST_REPLICAS: u64 = 5;
/// Least memory of the process of a run, in bytes (64 MiB): an ordinary run asks for less than 10 MiB.
const LEAST_PROCESS_MEMORY: u64 = 64 * 1024 * 1024;
/// Databases that definitions can be kept in.
const STORE_SCHEMES: [&str; 3] = ["sqlite", "postgres", "postgresql"];
/// Shortest `ack_wait` in seconds that leaves room for a heartbeat a second.
const LEAST_ACK_WAIT_SECONDS: u64 = 2;

/// Every rule that `settings` breaks, each as a sentence that names the setting and its value.
pub(super) fn problems(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    positive(settings, &mut found);
    too_large(settings, &mut found);
    relations(settings, &mut found);
    addresses(settings, &mut found);
    found.extend(settings.nats.problems());
    receiver(settings, &mut found);
    egress(settings, &mut found);
    process(settings, &mut found);
    encryption_keys(settings, &mut found);
    store(&settings.store, &mut found);
    if let Err(error) = SetId::parse(settings.run.default_set_id.clone()) {
        found.push(format!("`run.default_set_id`: {error}"));
    }
    found
}

#[expect(clippy::too_many_lines, reason = "one line for each setting, as a table")]
fn positive(settings: &Settings, found: &mut Vec<String>) {
    let (consumer, events) = (&settings.consumer, &settings.events);
    let values = [
        ("nats.replicas", settings.nats.replicas as u64),
        ("consumer.max_ack_pending", u64::try_from(consumer.max_ack_pending).unwrap_or(0)),
        ("consumer.max_attempts", u64::from(consumer.max_attempts)),
        ("consumer.pull_expires_seconds", consumer.pull_expires_seconds),
        ("worker.concurrency", settings.worker.concurrency as u64),
        ("run.timeout_seconds", settings.run.timeout_seconds),
        ("run.stall_timeout_seconds", settings.run.stall_timeout_seconds),
        ("run.session_end_seconds", settings.run.session_end_seconds),
        ("run.max_turns", u64::from(settings.run.max_turns)),
        ("events.completed_retention_seconds", events.completed_retention_seconds),
        ("events.progress_retention_seconds", events.progress_retention_seconds),
        ("cassettes.retention_seconds", settings.cassettes.retention_seconds),
        ("requests.dedup_window_seconds", settings.requests.dedup_window_seconds),
        ("telemetry.run.deadline_seconds", settings.telemetry.run.deadline_seconds),
        ("telemetry.spool.retention_seconds", settings.telemetry.spool.retention_seconds),
        ("telemetry.spool.max_bytes", settings.telemetry.spool.max_bytes),
        ("telemetry.spool.retry_seconds", settings.telemetry.spool.retry_seconds),
        ("telemetry.sink.timeout_seconds", settings.telemetry.sink.timeout_seconds),
        ("telemetry.sink.retry_seconds", settings.telemetry.sink.retry_seconds),
        ("telemetry.sink.retention_seconds", settings.telemetry.sink.retention_seconds),
        ("store.statement_timeout_seconds", settings.store.statement_timeout_seconds),
        ("store.pool.max_connections", u64::from(settings.store.pool.max_connections)),
        ("store.pool.acquire_timeout_seconds", settings.store.pool.acquire_timeout_seconds),
        ("store.pool.idle_timeout_seconds", settings.store.pool.idle_timeout_seconds),
        ("store.pool.max_lifetime_seconds", settings.store.pool.max_lifetime_seconds),
        ("history.retention_seconds", settings.history.retention_seconds),
    ];
    let zero = values.iter().filter(|(_, value)| *value == 0);
    found.extend(zero.map(|(name, _)| format!("`{name}` must be at least 1")));
}

#[expect(clippy::too_many_lines, reason = "one line for each setting, as a table")]
fn too_large(settings: &Settings, found: &mut Vec<String>) {
    let (consumer, events, run) = (&settings.consumer, &settings.events, &settings.run);
    let store = &settings.store;
    let values = [
        ("nats.replicas", settings.nats.replicas as u64, MOST_REPLICAS),
        ("consumer.ack_wait_seconds", consumer.ack_wait_seconds, MOST_SECONDS),
        ("consumer.pull_expires_seconds", consumer.pull_expires_seconds, MOST_SECONDS),
        ("worker.concurrency", settings.worker.concurrency as u64, MOST_CONCURRENCY),
        ("worker.drain_seconds", settings.worker.drain_seconds, MOST_SECONDS),
        ("run.timeout_seconds", run.timeout_seconds, MAX_TIMEOUT_SECONDS),
        ("run.stall_timeout_seconds", run.stall_timeout_seconds, MOST_SECONDS),
        ("run.session_end_seconds", run.session_end_seconds, MOST_SESSION_END_SECONDS),
        ("run.max_turns", u64::from(run.max_turns), u64::from(MAX_TURNS_LIMIT)),
        ("run.process.kill_grace_seconds", run.process.kill_grace_seconds, MOST_SECONDS),
        ("events.completed_retention_seconds", events.completed_retention_seconds, MOST_SECONDS),
        ("events.failed_retention_seconds", events.failed_retention_seconds, MOST_SECONDS),
        ("events.progress_retention_seconds", events.progress_retention_seconds, MOST_SECONDS),
        ("cassettes.retention_seconds", settings.cassettes.retention_seconds, MOST_SECONDS),
        ("requests.dedup_window_seconds", settings.requests.dedup_window_seconds, MOST_SECONDS),
        ("telemetry.run.deadline_seconds", settings.telemetry.run.deadline_seconds, MOST_SECONDS),
        (
            "telemetry.receiver.settle_seconds",
            settings.telemetry.receiver.settle_seconds,
            MOST_SETTLE_SECONDS,
        ),
        ("telemetry.spool.retention_seconds", settings.telemetry.spool.retention_seconds, MOST_SECONDS),
        ("telemetry.spool.max_bytes", settings.telemetry.spool.max_bytes, MOST_SPOOLED_BYTES),
        ("telemetry.spool.retry_seconds", settings.telemetry.spool.retry_seconds, MOST_SECONDS),
        (
            "telemetry.sink.timeout_seconds",
            settings.telemetry.sink.timeout_seconds,
            MOST_SINK_TIMEOUT_SECONDS,
        ),
        ("telemetry.sink.retry_seconds", settings.telemetry.sink.retry_seconds, MOST_SECONDS),
        ("telemetry.sink.retention_seconds", settings.telemetry.sink.retention_seconds, MOST_SECONDS),
        ("store.statement_timeout_seconds", store.statement_timeout_seconds, MOST_STORE_WAIT_SECONDS),
        ("store.pool.max_connections", u64::from(store.pool.max_connections), MOST_CONNECTIONS),
        ("store.pool.acquire_timeout_seconds", store.pool.acquire_timeout_seconds, MOST_STORE_WAIT_SECONDS),
        ("store.pool.idle_timeout_seconds", store.pool.idle_timeout_seconds, MOST_SECONDS),
        ("store.pool.max_lifetime_seconds", store.pool.max_lifetime_seconds, MOST_SECONDS),
        ("history.retention_seconds", settings.history.retention_seconds, MOST_HISTORY_SECONDS),
    ];
    let beyond = values.iter().filter(|(_, value, most)| value > most);
    found.extend(beyond.map(|(name, value, most)| format!("`{name}` is {value}; it must be at most {most}")));
}

fn relations(settings: &Settings, found: &mut Vec<String>) {
    let (ack_wait, durable) = (settings.consumer.ack_wait_seconds, &settings.consumer.durable);
    if ack_wait < LEAST_ACK_WAIT_SECONDS {
        let least = LEAST_ACK_WAIT_SECONDS;
        found.push(format!(
            "`consumer.ack_wait_seconds` is {ack_wait}; it must be at least {least}, or heartbeats cannot keep up"
        ));
    }
    let (failed, completed) =
        (settings.events.failed_retention_seconds, settings.events.completed_retention_seconds);
    if failed < completed {
        found.push(format!(
            "`events.failed_retention_seconds` is {failed}, less than `events.completed_retention_seconds` \
             ({completed}): run states are kept for the former and must outlive every outcome"
        ));
    }
    if durable.is_empty() || durable.contains(['.', '*', '>', ' ', '/', '\\']) {
        found.push(format!("`consumer.durable` is '{durable}'; it must have no dot, star, space or slash"));
    }
}

fn addresses(settings: &Settings, found: &mut Vec<String>) {
    found.extend(store_url_problem("store.url", &settings.store.url));
    if settings.store.url_file.is_some() && settings.store.names_a_url() {
        found.push("`store.url` and `store.url_file` are both set; keep one of them".to_owned());
    }
    for server in settings.nats.url.split(',') {
        check_url("nats.url", server.trim(), &["nats", "tls"], found);
    }
    let telemetry = &settings.telemetry;
    for (name, url) in [
        ("telemetry.worker.otlp_endpoint", &telemetry.worker.otlp_endpoint),
        ("telemetry.run.default_endpoint", &telemetry.run.default_endpoint),
    ] {
        if let Some(url) = url {
            check_url(name, url, &["http", "https"], found);
        }
    }
}

/// What is wrong with a URL of the store that is the value of `setting`, or in its file. It may hold a password, and what
/// is no URL at all may be one.
pub(crate) fn store_url_problem(setting: &str, url: &str) -> Option<String> {
    let scheme = url.split(':').next().unwrap_or_default();
    if STORE_SCHEMES.contains(&scheme) {
        return None;
    }
    let found = match url.split_once("://") {
        Some((scheme, _)) => format!("begins with '{scheme}:'"),
        None => "is no URL".to_owned(),
    };
    Some(format!("`{setting}` {found}; it must be a sqlite:// or postgres:// URL"))
}

/// An empty token would be one that everybody has.
fn receiver(settings: &Settings, found: &mut Vec<String>) {
    let ReceiverSettings { token, token_file, .. } = &settings.telemetry.receiver;
    if token.is_some() && token_file.is_some() {
        found.push(
            "`telemetry.receiver.token` and `telemetry.receiver.token_file` are both set; keep one of them"
                .to_owned(),
        );
    }
    if token.as_ref().is_some_and(|token| token.expose().trim().is_empty()) {
        found.push("`telemetry.receiver.token` is empty; leave it out if senders need none".to_owned());
    }
}

/// A process of a run that could not even start would end every run.
fn process(settings: &Settings, found: &mut Vec<String>) {
    let (bytes, least) = (settings.run.process.memory_bytes, LEAST_PROCESS_MEMORY);
    if bytes < least {
        found.push(format!(
            "`run.process.memory_bytes` is {bytes}; it must be at least {least}, or no run can be played"
        ));
    }
}

fn encryption_keys(settings: &Settings, found: &mut Vec<String>) {
    let StoreSettings { encryption_keys, encryption_keys_file, .. } = &settings.store;
    let Some(keys) = encryption_keys else { return };
    if encryption_keys_file.is_some() {
        found.push(
            "`store.encryption_keys` and `store.encryption_keys_file` are both set; list every key in one of them"
                .to_owned(),
        );
    }
    if let Err(error) = Keyring::parse(keys.expose()) {
        found.push(format!("`store.encryption_keys`: {error}"));
    }
}

fn store(store: &StoreSettings, found: &mut Vec<String>) {
    let (min, max) = (store.pool.min_connections, store.pool.max_connections);
    if min > max {
        found.push(format!(
            "`store.pool.min_connections` is {min}, more than `store.pool.max_connections` ({max})"
        ));
    }
    if store.tls != StoreTlsSettings::default() {
        store_tls(store, found);
    }
}

fn store_tls(store: &StoreSettings, found: &mut Vec<String>) {
    let StoreTlsSettings { mode, ca_file, cert_file, key_file } = &store.tls;
    let idle = mode.filter(|mode| ca_file.is_some() && !mode.verifies());
    found.extend(idle.map(|mode| {
        let mode = mode.as_str();
        format!("`store.tls.mode` is {mode}, which does not look at `store.tls.ca_file`; it must be verify-full or verify-ca")
    }));
    let is_file = store.url_file.is_none() && store.url.starts_with("sqlite:");
    let also_says_it = store.url.split_once('?').is_some_and(|(_, query)| query.contains("ssl"));
    let broken = [
        (cert_file.is_some() != key_file.is_some(), CERT_WITHOUT_KEY),
        (is_file, TLS_TO_A_FILE),
        (also_says_it, TLS_SAID_TWICE),
    ];
    found.extend(broken.into_iter().filter(|(is_so, _)| *is_so).map(|(_, rule)| rule.to_owned()));
}

fn egress(settings: &Settings, found: &mut Vec<String>) {
    let EgressSettings { allow_private_networks, allowed_hosts, proxy } = &settings.egress;
    if let Err(error) = EgressPolicy::new(*allow_private_networks, allowed_hosts) {
        found.push(format!("`egress.allowed_hosts`: {error}"));
    }
    if let Some(proxy) = proxy {
        check_url("egress.proxy", proxy, &["http", "https"], found);
    }
}

/// The value is not repeated: a URL may hold a password.
fn check_url(name: &str, url: &str, schemes: &[&str], found: &mut Vec<String>) {
    match Url::parse(url) {
        Ok(parsed) if schemes.contains(&parsed.scheme()) => {}
        Ok(parsed) => found.push(format!(
            "`{name}` has the scheme '{}'; it must be one of {}",
            parsed.scheme(),
            schemes.join(", ")
        )),
        Err(error) => found.push(format!("`{name}` is not a URL: {error}")),
    }
}
