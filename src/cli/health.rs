//! `health`: asks the worker of this machine whether it is alive, or ready, for images that have nothing else to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::arguments::{HealthOptions, Layers};
use super::error::{CliError, Finished, chain};
use super::terminal::{emit, problem, say};
use crate::http_client;

/// How long a worker may take to answer: less than the five seconds after which container runtimes give up on the check.
const PATIENCE: Duration = Duration::from_secs(4);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// What is printed for programs.
#[derive(Serialize)]
struct Health {
    #[serde(skip_serializing_if = "Option::is_none")]
    alive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Asks `/healthz` or `/readyz`. Whatever is wrong is exit code 1: container runtimes know no other.
pub(super) async fn run(layers: &Layers, options: &HealthOptions) -> Finished {
    let asked = ask_until(layers, options).await;
    if options.json {
        let (address, error) = (asked.as_ref().ok().copied(), asked.as_ref().err().map(ToString::to_string));
        let (alive, ready) =
            if options.ready { (None, Some(asked.is_ok())) } else { (Some(asked.is_ok()), None) };
        // Whoever does not read it has the exit code.
        drop(emit(&Health { alive, ready, address, error }));
    }
    match asked {
        Ok(address) => {
            say(format_args!("the worker at {address} is {}", if options.ready { "ready" } else { "alive" }));
            Finished::Well
        }
        Err(error) => {
            problem(&error.to_string());
            Finished::Unhealthy
        }
    }
}

/// Asks until all is well, or the time that the caller gives is over.
async fn ask_until(layers: &Layers, options: &HealthOptions) -> Result<SocketAddr, CliError> {
    let address = reachable(layers.settings()?.http.bind);
    let until = Instant::now() + Duration::from_secs(options.wait.into());
    loop {
        let asked = ask(address, options).await;
        if asked.is_ok() || Instant::now() >= until {
            return asked;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(address: SocketAddr, options: &HealthOptions) -> Result<SocketAddr, CliError> {
    let dead = |error: reqwest::Error| {
        CliError::refused(format!("no worker answers at {address} (setting `http.bind`): {}", chain(&error)))
    };
    let path = if options.ready { "readyz" } else { "healthz" };
    let client = http_client::builder().timeout(PATIENCE).build().map_err(CliError::refused)?;
    let answer = client.get(format!("http://{address}/{path}")).send().await.map_err(dead)?;
    if answer.status().is_success() {
        return Ok(address);
    }
    let (status, why) = (answer.status(), answer.text().await.map_err(dead)?);
    Err(CliError::refused(format!("the worker at {address} says {status}: {}", why.trim_end())))
}

/// Where a server that listens at `bind` can be reached on this machine.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_at_the_loopback_address() {
        for (bind, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:1", "[::1]:1"),
            ("10.1.2.3:9464", "10.1.2.3:9464"),
            ("127.0.0.1:9", "127.0.0.1:9"),
        ] {
            assert_eq!(reachable(bind.parse().unwrap()), asked.parse().unwrap(), "{bind}");
        }
    }
}
