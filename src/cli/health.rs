//! `health`: asks the worker of this machine whether it is alive, for images that have nothing else to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use super::arguments::{Layers, SaidOptions};
use super::error::{CliError, Finished, chain};
use super::terminal::{emit, problem, say};
use crate::http_client;

/// How long a worker may take to answer: less than the five seconds after which container runtimes give up on the check.
const PATIENCE: Duration = Duration::from_secs(4);

/// What is printed for programs.
#[derive(Serialize)]
struct Health {
    alive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Asks `/healthz`. Whatever is wrong is exit code 1: container runtimes know no other.
pub(super) async fn run(layers: &Layers, options: &SaidOptions) -> Finished {
    let asked = ask(layers).await;
    if options.json {
        let (address, error) = (asked.as_ref().ok().copied(), asked.as_ref().err().map(ToString::to_string));
        // Whoever does not read it has the exit code.
        drop(emit(&Health { alive: address.is_some(), address, error }));
    }
    match asked {
        Ok(address) => {
            say(format_args!("the worker at {address} is alive"));
            Finished::Well
        }
        Err(error) => {
            problem(&error.to_string());
            Finished::Unhealthy
        }
    }
}

async fn ask(layers: &Layers) -> Result<SocketAddr, CliError> {
    let address = reachable(layers.settings()?.http.bind);
    let dead = |error: reqwest::Error| {
        CliError::refused(format!("no worker answers at {address} (setting `http.bind`): {}", chain(&error)))
    };
    let client = http_client::builder().timeout(PATIENCE).build().map_err(CliError::refused)?;
    let answer = client.get(format!("http://{address}/healthz")).send().await;
    answer.and_then(reqwest::Response::error_for_status).map_err(dead)?;
    Ok(address)
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
