//! Worker processes that are started again whenever they end, each behind its own proxies.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::doubles::Doubles;
use super::history::{Death, Limits, Recorder};
use super::proxy::Proxy;
use crate::support::database::TestDatabase;
use crate::support::nats::NatsAccount;
use crate::support::worker::Place;

/// Where a PostgreSQL server is, if there is one.
const POSTGRES_URL: &str = "TEST_POSTGRES_URL";
/// The port of a PostgreSQL server whose URL names none.
const POSTGRES_PORT: u16 = 5432;
/// The pause before a worker that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(300);
/// How long workers may take to stop at the end.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Executions of one run that may be lost: more than any plan has faults.
const MAX_ATTEMPTS: &str = "1000";
/// How long one pull stays open, in seconds.
const PULL_EXPIRES: &str = "2";
/// Time for delivering a run's spans at its end, in seconds: longer than the lease of a frozen worker.
const SPANS_DEADLINE: &str = "4";
/// The signals that kill at once and that tell to stop, and the exit code of a program that the latter ended at once.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const TERMINATED: i32 = 128 + SIGTERM;
/// What a worker logs when it begins.
const BEGUN: &str = "the worker takes requests";

/// A worker: its settings, its database, its proxies, and its process of the moment.
pub(crate) struct Worker {
    /// Its place in the fleet.
    pub(crate) number: usize,
    /// Between it and each server of the broker.
    pub(crate) brokers: Vec<Proxy>,
    /// Between it and PostgreSQL; a SQLite file has none.
    pub(crate) store: Option<Proxy>,
    /// Its definitions.
    pub(crate) database: Arc<TestDatabase>,
    place: Place,
    log: PathBuf,
    process: Mutex<Process>,
}

/// The process of the moment.
#[derive(Debug, Default)]
struct Process {
    id: Option<u32>,
    /// Whether it was sent these signals.
    killed: bool,
    terminated: bool,
}

impl Worker {
    async fn new(number: usize, account: &NatsAccount, database: Arc<TestDatabase>, limits: Limits) -> Self {
        let (url, brokers) = broker_proxies(account).await;
        let store = store_proxy(&database).await;
        let place = Place::on(account.clone())
            .with("NATS__URL", &url)
            .with("STORE__URL", &through(&database, store.as_ref()))
            .with("NATS__REPLICAS", &brokers.len().to_string())
            .with("CONSUMER__ACK_WAIT_SECONDS", &limits.ack_wait.as_secs().to_string())
            .with("CONSUMER__MAX_ACK_PENDING", &limits.max_ack_pending.to_string())
            .with("CONSUMER__MAX_ATTEMPTS", MAX_ATTEMPTS)
            .with("CONSUMER__PULL_EXPIRES_SECONDS", PULL_EXPIRES)
            .with("WORKER__CONCURRENCY", &limits.concurrency.to_string())
            .with("WORKER__DRAIN_SECONDS", &limits.drain.as_secs().to_string())
            .with("TELEMETRY__RUN__DEADLINE_SECONDS", SPANS_DEADLINE);
        let log = place.path("worker.log");
        Self { number, brokers, store, database, place, log, process: Mutex::default() }
    }

    /// Sends its process a signal, if there is one.
    pub(crate) fn signal(&self, name: &str) {
        // Held, so that the process cannot be reaped, and its id given to another, meanwhile.
        let mut process = self.process();
        if let Some(id) = process.id {
            process.killed |= name == "-KILL";
            process.terminated |= name == "-TERM";
            let sent = std::process::Command::new("kill").args([name, &id.to_string()]).status().unwrap();
            assert!(sent.success(), "kill {name} {id}");
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all its processes logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        let log = || OpenOptions::new().create(true).append(true).open(&self.log);
        let log: File = log().unwrap();
        let mut command = self.place.command(&["serve"]);
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// How many processes it has had.
    pub(crate) fn lives(&self) -> usize {
        self.log().matches(LIFE_MARK).count()
    }

    /// Whether its process of the moment takes requests.
    pub(crate) fn has_begun(&self) -> bool {
        self.log().rsplit(LIFE_MARK).next().is_some_and(|life| life.contains(BEGUN))
    }
}

/// Parts the log into lives.
const LIFE_MARK: &str = "---- a life begins ----";

/// All workers.
#[derive(Default)]
pub(crate) struct Fleet {
    /// They are never fewer or more.
    pub(crate) workers: Vec<Arc<Worker>>,
    stop: CancellationToken,
    keepers: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Starts `size` workers that know `runs` as their scenarios.
    pub(crate) async fn start(
        size: usize,
        account: &NatsAccount,
        doubles: &Doubles,
        runs: &[String],
        limits: Limits,
        recorder: &Recorder,
    ) -> Self {
        let mut fleet = Self::default();
        for number in 0..size {
            let worker = Arc::new(Worker::new(number, account, database().await, limits).await);
            worker.place.import(&doubles.definitions(number, runs)).await;
            fleet.add(worker, recorder);
        }
        fleet
    }

    /// The same with one database for all, as in real life. Nobody can tell then which of them makes a call: for the doubles
    /// all are number 0.
    pub(crate) async fn sharing(
        size: usize,
        account: &NatsAccount,
        doubles: &Doubles,
        runs: &[String],
        limits: Limits,
        recorder: &Recorder,
    ) -> Self {
        let (mut fleet, database) = (Self::default(), database().await);
        for number in 0..size {
            let worker = Arc::new(Worker::new(number, account, Arc::clone(&database), limits).await);
            if number == 0 {
                worker.place.import(&doubles.definitions(number, runs)).await;
            }
            fleet.add(worker, recorder);
        }
        fleet
    }

    fn add(&mut self, worker: Arc<Worker>, recorder: &Recorder) {
        let kept = keep(Arc::clone(&worker), recorder.clone(), self.stop.clone());
        self.keepers.push(tokio::spawn(kept));
        self.workers.push(worker);
    }

    /// Stops all workers and waits for their ends.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        for keeper in self.keepers.drain(..) {
            keeper.await.unwrap();
        }
    }

    /// Removes what the databases' server has of this fleet.
    pub(crate) async fn clean(&self) {
        for worker in &self.workers {
            worker.database.drop_database().await;
        }
    }
}

impl Drop for Fleet {
    /// A task that ends kills its process.
    fn drop(&mut self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

/// Starts the worker again and again until it is told to stop.
async fn keep(worker: Arc<Worker>, recorder: Recorder, stop: CancellationToken) {
    while !stop.is_cancelled() {
        mark(&worker);
        let mut child = worker.spawn();
        *worker.process() = Process { id: child.id(), ..Process::default() };
        let life = recorder.born(worker.number);
        let status = tokio::select! {
            status = child.wait() => status.unwrap(),
            () = stop.cancelled() => {
                worker.signal("-TERM");
                tokio::time::timeout(STOP_PATIENCE, child.wait()).await.expect("a worker stops in time").unwrap()
            }
        };
        worker.process().id = None;
        recorder.died(life, death(&worker, status));
        let _ = tokio::time::timeout(RESTART_PAUSE, stop.cancelled()).await;
    }
}

fn mark(worker: &Worker) {
    let log = OpenOptions::new().create(true).append(true).open(&worker.log);
    std::io::Write::write_all(&mut log.unwrap(), format!("{LIFE_MARK}\n").as_bytes()).unwrap();
}

/// Only what was sent a signal may end by it.
fn death(worker: &Worker, status: ExitStatus) -> Death {
    let Process { killed, terminated, .. } = *worker.process();
    let told = match (status.signal(), status.code()) {
        (Some(SIGKILL), _) => killed,
        (Some(SIGTERM), _) | (_, Some(0 | TERMINATED)) => terminated,
        _ => false,
    };
    match status.code() {
        _ if told => Death::Told,
        Some(code) if code != 0 && !worker.has_begun() => Death::Stillborn(status),
        _ => Death::Own(status),
    }
}

/// A proxy before each server of the broker, and the URLs that lead through them.
async fn broker_proxies(account: &NatsAccount) -> (String, Vec<Proxy>) {
    let (mut urls, mut proxies) = (Vec::new(), Vec::new());
    for url in account.url.split(',') {
        let (user, server) = url.rsplit_once('@').unwrap();
        let proxy = Proxy::before(server).await;
        urls.push(format!("{user}@{}", proxy.address()));
        proxies.push(proxy);
    }
    (urls.join(","), proxies)
}

async fn database() -> Arc<TestDatabase> {
    Arc::new(match std::env::var_os(POSTGRES_URL) {
        None => TestDatabase::sqlite(),
        Some(_) => TestDatabase::postgres("faults").await.unwrap(),
    })
}

async fn store_proxy(database: &TestDatabase) -> Option<Proxy> {
    let TestDatabase::Postgres { .. } = database else { return None };
    let url: url::Url = database.url().parse().unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(POSTGRES_PORT));
    Some(Proxy::before(&server).await)
}

/// The database's URL by way of its proxy.
fn through(database: &TestDatabase, proxy: Option<&Proxy>) -> String {
    let Some(proxy) = proxy else { return database.url() };
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_ip_host(proxy.address().ip()).unwrap();
    url.set_port(Some(proxy.address().port())).unwrap();
    url.into()
}

/// The lines of all logs that tell of trouble, for a failed test.
pub(crate) fn troubles(fleet: &Fleet) -> String {
    let of = |worker: &Arc<Worker>| {
        let (number, log) = (worker.number, worker.log());
        let lines = log.lines().filter(|line| line.contains("ERROR") || line.contains("WARN"));
        lines.map(|line| format!("worker {number}: {line}")).collect::<Vec<_>>()
    };
    fleet.workers.iter().flat_map(of).collect::<Vec<_>>().join("\n")
}
