//! A PostgreSQL server of one test, which may do with it what it likes. See `deploy/with-postgres`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::tls::{Identity, authority_pem};

/// Time for the server to hear of what was configured.
const HEARD: Duration = Duration::from_secs(30);

/// A server with TLS that serves only who proves with a certificate of the authority who it is. It ends with this value.
pub(crate) struct PostgresServer {
    script: Child,
    url: url::Url,
    /// Made before anything was asked of callers.
    inside: AnyConnection,
}

impl PostgresServer {
    /// A server that shows `identity`, or `None` where PostgreSQL's programs are missing (never in CI).
    pub(crate) async fn start(identity: Identity) -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/with-postgres");
        let mut script = Command::new(program)
            .args(["sh", "-c", r#"echo "$TEST_POSTGRES_URL"; read -r _"#])
            .env_remove("TEST_POSTGRES_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(url) = line.trim().parse::<url::Url>() else {
            script.wait().unwrap();
            return None;
        };
        sqlx::any::install_default_drivers();
        let inside = AnyConnection::connect(url.as_str()).await.unwrap();
        let mut server = Self { script, url, inside };
        server.put("authority.pem", &authority_pem()).await;
        server.show(identity).await;
        server.put("pg_hba.conf", "hostssl all all all scram-sha-256 clientcert=verify-ca").await;
        server.execute("ALTER SYSTEM SET ssl_ca_file = 'authority.pem'").await;
        server.execute("ALTER SYSTEM SET ssl = on").await;
        server.execute("SELECT pg_reload_conf()").await;
        server.until_plain_callers_are_sent_away().await;
        Some(server)
    }

    /// From soon on it shows `identity`.
    pub(crate) async fn show(&mut self, identity: Identity) {
        self.put("server.crt", &identity.certificate_pem()).await;
        self.put("server.key", &identity.key_pem()).await;
        self.execute("SELECT pg_reload_conf()").await;
    }

    /// Where it is, with user and password.
    pub(crate) fn url(&self) -> url::Url {
        self.url.clone()
    }

    /// Writes a file into the server's folder, as its user: nobody else can read it.
    async fn put(&mut self, name: &str, content: &str) {
        let lines = content.trim().lines().map(|line| format!("('{line}')")).collect::<Vec<_>>().join(", ");
        let program = format!("umask 077; rm -f {name}; cat > {name}");
        self.execute(&format!("COPY (VALUES {lines}) TO PROGRAM '{program}'")).await;
    }

    async fn execute(&mut self, statement: &str) {
        self.inside.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }

    async fn until_plain_callers_are_sent_away(&self) {
        let mut url = self.url();
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let away = async {
            while AnyConnection::connect(url.as_str()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(HEARD, away).await.unwrap();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        drop(self.script.wait());
    }
}
