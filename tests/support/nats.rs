//! A real nats-server: one for the whole test binary, with an account of its own for every test; or one for a
//! single test that has to stop it.
//!
//! The server ends with the test process, however that ends: a shell guards it and waits on a pipe whose other
//! end this process holds. The shell removes the server's folder, too.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scenario_worker::settings::NatsSettings;

/// Accounts of the shared server: at least as many as the binary has tests that ask for one.
const ACCOUNTS: usize = 272;
/// What [`NatsAccount::narrow`] may neither publish on nor subscribe to.
pub(crate) const FORBIDDEN: &str = "scenario.run.dead_lettered";
/// The password of [`NatsAccount::with_secret_password`], which is like nothing else that a test sees.
pub(crate) const SECRET_PASSWORD: &str = "CanaryBroker12";
/// How long a server may take to listen on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition outside of this process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Obeys `up`, `down` and `restart`; at the end of its input it ends the server and removes the folder.
const GUARD: &str = r#"trap "" INT; server=$0 folder=$1
up() { "$server" -c "$folder/nats.conf" >>"$folder/log" 2>&1 & pid=$!; }
down() { [ -z "$pid" ] || { kill -9 $pid; wait $pid; pid=; }; }
duck() { kill -USR2 $pid; wait $pid; pid=; }
up
while read -r word; do case $word in up) up;; down) down;; duck) duck;; restart) down; up;; esac; done
down; rm -rf "$folder""#;

static SHARED: OnceLock<NatsServer> = OnceLock::new();
static NEXT_ACCOUNT: AtomicUsize = AtomicUsize::new(0);

/// A server that lives as long as this value or the process.
pub(crate) struct NatsServer {
    guard: Child,
    address: String,
    folder: PathBuf,
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

/// A user of deploy/nats-permissions.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Client,
    Watcher,
    Operator,
}

impl Role {
    /// Its name in the file.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| name)
    }

    /// Each of them, with its name in the file.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Worker, "worker"),
        (Self::Client, "client"),
        (Self::Watcher, "watcher"),
        (Self::Operator, "operator"),
    ];
}

impl NatsAccount {
    /// The same account as a user with the permissions that are shipped for `role`. What is no account of
    /// [`NatsServer::account`] stays as it is.
    pub(crate) fn with_role(&self, role: Role) -> Self {
        let Some(user) = self.url.strip_prefix("nats://t") else { return self.clone() };
        if !user.starts_with(|first: char| first.is_ascii_digit()) {
            return self.clone();
        }
        Self { url: format!("nats://{}{user}", role.name()) }
    }

    /// Settings that lead to the account.
    pub(crate) fn settings(&self) -> NatsSettings {
        NatsSettings { url: self.url.clone(), ..NatsSettings::default() }
    }

    /// The same account as a user who may do everything but use the subject [`FORBIDDEN`].
    pub(crate) fn narrow(&self) -> Self {
        Self { url: self.url.replacen("//t", "//narrow", 1) }
    }

    /// The same account as a user whose password can be searched for.
    pub(crate) fn with_secret_password(&self) -> Self {
        let (_, address) = self.url.rsplit_once('@').expect("the URL has credentials");
        let user = self.url.trim_start_matches("nats://t").split(':').next().expect("the URL has a user");
        Self { url: format!("nats://secret{user}:{SECRET_PASSWORD}@{address}") }
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
        Self::start_with("")
    }

    /// Starts servers that are one cluster, named `n0`, `n1` and so on. It may still have to elect its leaders.
    pub(crate) fn cluster(size: usize) -> Vec<Self> {
        // Held together, so that they differ; the servers take them over.
        let free: Vec<_> = (0..size).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(free);
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let member = |(number, port)| {
            let routes = routes.join(", ");
            Self::start_with(&format!(
                "server_name: n{number}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{port}\", no_advertise: true, routes: [{routes}] }}\n"
            ))
        };
        ports.iter().enumerate().map(member).collect()
    }

    /// Starts a server with more lines in its configuration, and waits until it listens.
    pub(crate) fn start_with(more: &str) -> Self {
        Self::configured(|folder, port| configuration(folder, port) + more)
    }

    /// Starts a server with nothing in its configuration but `JetStream`, of `domain` if there is one, and `more`.
    pub(crate) fn bare(domain: Option<&str>, more: &str) -> Self {
        Self::configured(|folder, port| bare_configuration(folder, port, domain) + more)
    }

    /// Gives a server of [`NatsServer::bare`] something else in its configuration, and starts it anew.
    pub(crate) fn reconfigure(&mut self, more: &str) {
        let port = self.address.rsplit_once(':').unwrap().1;
        let text = bare_configuration(&self.folder, port, None) + more;
        fs::write(self.folder.join("nats.conf"), text).unwrap();
        self.kill_and_restart();
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn configured(text: impl Fn(&Path, &str) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("scenario-nats-").tempdir().unwrap().keep();
        fs::write(folder.join("nats.conf"), text(&folder, "-1")).unwrap();
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
        fs::write(folder.join("nats.conf"), text(&folder, port)).unwrap();
        Self { guard, address, folder }
    }

    /// The account with this number.
    pub(crate) fn account(&self, number: usize) -> NatsAccount {
        NatsAccount { url: format!("nats://t{number}:p{number}@{}", self.address) }
    }

    /// Kills the server (as `kill -9` does) and starts it again on the same port with the same store.
    pub(crate) fn kill_and_restart(&mut self) {
        self.tell("restart");
    }

    /// Kills the server (as `kill -9` does); [`NatsServer::up`] starts it again.
    pub(crate) fn down(&mut self) {
        self.tell("down");
    }

    /// Starts a server that is down, on the same port with the same store.
    pub(crate) fn up(&mut self) {
        self.tell("up");
    }

    /// Lets the server announce its end, send its clients away and stop; [`NatsServer::up`] starts it again after that.
    pub(crate) fn lame_duck(&mut self) {
        self.tell("duck");
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.guard.stdin.as_mut().unwrap(), "{word}").unwrap();
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

fn bare_configuration(folder: &Path, port: &str, domain: Option<&str>) -> String {
    let folder = folder.display();
    let domain = domain.map(|domain| format!("domain: {domain}, ")).unwrap_or_default();
    format!(
        "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{folder}\"\n\
         jetstream {{ {domain}store_dir: \"{folder}/store\", max_file_store: 8G, max_memory_store: 1G }}\n"
    )
}

fn configuration(folder: &Path, port: &str) -> String {
    let folder = folder.display();
    let mut text = format!(
        "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{folder}\"\n\
         lame_duck_duration: 30s\nlame_duck_grace_period: 1s\n\
         jetstream {{ store_dir: \"{folder}/store\", max_file_store: 8G, max_memory_store: 1G }}\naccounts {{\n"
    );
    let permissions = permissions();
    for n in 0..ACCOUNTS {
        let users = account_users(&permissions, n);
        writeln!(
            text,
            "T{n}: {{ jetstream: enabled, users: [ {{ user: t{n}, password: p{n} }},\n\
             {{ user: secret{n}, password: {SECRET_PASSWORD} }},\n\
             {{ user: narrow{n}, password: p{n}, permissions: {{ publish: {{ deny: \"{FORBIDDEN}\" }}, subscribe: {{ deny: \"{FORBIDDEN}\" }} }} }}\n\
             {users} ] }}"
        )
        .unwrap();
    }
    text + "}\n"
}

/// The permissions that are shipped.
pub(crate) fn permissions() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nats-permissions.conf");
    fs::read_to_string(file).expect("the file is there")
}

/// The users of a file of permissions, as those of the account `number`: `worker7` and so on.
pub(crate) fn account_users(permissions: &str, number: usize) -> String {
    let (_, users) = permissions.split_once("users: [").expect("the file is a list of users");
    let (mut users, _) = users.rsplit_once(']').map(|(users, rest)| (users.to_owned(), rest)).unwrap();
    for (_, name) in Role::ALL {
        users = users
            .replace(&format!("user: {name}\n"), &format!("user: {name}{number}\n"))
            .replace(&format!("$SCENARIO_{}_PASSWORD", name.to_uppercase()), &format!("p{number}"));
    }
    users
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
    Some(ports["nats"][0].as_str()?.split_once("://")?.1.to_owned())
}
