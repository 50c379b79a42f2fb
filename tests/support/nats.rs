//! A real nats-server: one for the whole test binary, with an account of its own for every test; or one for a
//! single test that has to stop it.
//!
//! The server ends with the test process, however that ends: a shell guards it and waits on a pipe whose other
//! end this process holds. The shell removes the server's folder, too.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scenario_worker::settings::NatsSettings;

/// Accounts of the shared server: at least as many as the binary has tests that ask for one.
const ACCOUNTS: usize = 128;
/// How long a server may take to listen on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition outside of this process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Waits for the end of its input, ends the server, removes the folder.
const GUARD: &str = r#"trap "" INT; "$0" -c "$1/nats.conf" >"$1/log" 2>&1 & pid=$!
while read -r _; do kill -9 $pid; wait $pid; "$0" -c "$1/nats.conf" >>"$1/log" 2>&1 & pid=$!; done
kill -9 $pid; wait $pid; rm -rf "$1""#;

static SHARED: OnceLock<NatsServer> = OnceLock::new();
static NEXT_ACCOUNT: AtomicUsize = AtomicUsize::new(0);

/// A server that lives as long as this value or the process.
pub(crate) struct NatsServer {
    guard: Child,
    address: String,
}

/// An account of a server: streams, buckets and subjects of its own.
#[derive(Debug, Clone)]
pub(crate) struct NatsAccount {
    /// The URL, with user and password.
    pub(crate) url: String,
}

/// An account of the shared server that no other test has.
pub(crate) fn account() -> NatsAccount {
    let number = NEXT_ACCOUNT.fetch_add(1, Ordering::Relaxed);
    assert!(number < ACCOUNTS, "more than {ACCOUNTS} tests ask for an account: raise ACCOUNTS");
    SHARED.get_or_init(NatsServer::start).account(number)
}

impl NatsAccount {
    /// Settings that lead to the account.
    pub(crate) fn settings(&self) -> NatsSettings {
        NatsSettings { url: self.url.clone(), ..NatsSettings::default() }
    }

    /// A plain client of the account.
    pub(crate) async fn client(&self) -> async_nats::Client {
        let address = self.url.rsplit_once('@').expect("the URL has credentials");
        let credentials = address.0.trim_start_matches("nats://").split_once(':').expect("user and password");
        async_nats::ConnectOptions::new()
            .user_and_password(credentials.0.to_owned(), credentials.1.to_owned())
            .connect(address.1)
            .await
            .expect("the test's server takes the test's account")
    }
}

impl NatsServer {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("scenario-nats-").tempdir().unwrap().keep();
        fs::write(folder.join("nats.conf"), configuration(&folder, "-1")).unwrap();
        let guard = Command::new("sh")
            .args(["-c", GUARD])
            .arg(program())
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let address = wait_for_address(&folder);
        // A restarted server has to be found where it was.
        let port = address.rsplit_once(':').unwrap().1;
        fs::write(folder.join("nats.conf"), configuration(&folder, port)).unwrap();
        Self { guard, address }
    }

    /// The account with this number.
    pub(crate) fn account(&self, number: usize) -> NatsAccount {
        NatsAccount { url: format!("nats://t{number}:p{number}@{}", self.address) }
    }

    /// Kills the server (as `kill -9` does) and starts it again on the same port with the same store.
    pub(crate) fn kill_and_restart(&mut self) {
        writeln!(self.guard.stdin.as_mut().unwrap()).unwrap();
    }

    /// Kills the server for good.
    pub(crate) fn kill(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().unwrap();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `$NATS_SERVER`, else whatever `deploy/nats-server` finds or fetches.
pub(crate) fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return path.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nats-server");
    let output = Command::new(script).output().expect("deploy/nats-server runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

fn configuration(folder: &Path, port: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{folder}\"\n\
         jetstream {{ store_dir: \"{folder}/store\", max_file_store: 8G, max_memory_store: 1G }}\naccounts {{\n"
    );
    for n in 0..ACCOUNTS {
        writeln!(text, "T{n}: {{ jetstream: enabled, users: [{{ user: t{n}, password: p{n} }}] }}").unwrap();
    }
    text + "}\n"
}

/// Waits for the file in which the server says where it listens.
fn wait_for_address(folder: &Path) -> String {
    let deadline = Instant::now() + START_PATIENCE;
    while Instant::now() < deadline {
        if let Some(address) = read_address(folder) {
            return address;
        }
        std::thread::sleep(POLL);
    }
    panic!("nats-server does not start:\n{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
}

fn read_address(folder: &Path) -> Option<String> {
    let mut entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let file = entries.find(|path| path.extension().is_some_and(|extension| extension == "ports"))?;
    let ports: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.strip_prefix("nats://").map(str::to_owned)
}
