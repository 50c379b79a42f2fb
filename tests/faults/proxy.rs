//! A TCP proxy on loopback that is as bad as it is told to be.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Bytes that are forwarded at once.
const CHUNK: usize = 64 * 1024;

/// How the proxy treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Everything is forwarded.
    Fair,
    /// Everything is forwarded, each piece this late.
    Slow(Duration),
    /// Connections are accepted and stay, and nothing is forwarded.
    Frozen,
    /// New connections are closed at once.
    Refusing,
}

/// The state that every connection watches.
#[derive(Debug, Clone, Copy)]
struct State {
    weather: Weather,
    /// Connections of an earlier epoch are cut.
    epoch: u64,
}

/// A proxy in front of one server.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    trap: Trap,
    task: JoinHandle<()>,
}

/// The beginning of a message to the server, with headers or without.
const PUBLISHES: &str = "PUB ";

/// Words that are not let through to the server, and who is told that they came.
type Trap = Arc<Mutex<Option<(Vec<String>, Arc<Notify>)>>>;

impl Proxy {
    /// A proxy in front of `server`, a host and port.
    pub(crate) async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State { weather: Weather::Fair, epoch: 0 });
        let trap = Trap::default();
        let task = tokio::spawn(accept(listener, server.to_owned(), state.subscribe(), Arc::clone(&trap)));
        Self { address, state, trap, task }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection; new ones are welcome.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }

    /// Cuts every connection and refuses new ones.
    pub(crate) fn refuse(&self) {
        self.state.send_modify(|state| {
            *state = State { weather: Weather::Refusing, epoch: state.epoch + 1 };
        });
    }

    /// Keeps connections and forwards nothing.
    pub(crate) fn freeze(&self) {
        self.state.send_modify(|state| state.weather = Weather::Frozen);
    }

    /// Forwards each piece this late.
    pub(crate) fn delay(&self, by: Duration) {
        self.state.send_modify(|state| state.weather = Weather::Slow(by));
    }

    /// Holds the first connection on which somebody says `words` to the server, and tells `caught`: they never arrive.
    /// Words that are more than one piece of a connection are missed.
    pub(crate) fn catch(&self, words: &[&str], caught: Arc<Notify>) {
        let words = words.iter().map(|words| (*words).to_owned()).collect();
        *self.trap.lock().unwrap() = Some((words, caught));
    }

    /// Is good again.
    pub(crate) fn heal(&self) {
        self.state.send_modify(|state| state.weather = Weather::Fair);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: String, state: watch::Receiver<State>, trap: Trap) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let now = *state.borrow();
        if now.weather == Weather::Refusing {
            continue;
        }
        tokio::spawn(connection(client, server.clone(), state.clone(), now.epoch, Arc::clone(&trap)));
    }
}

/// Ends with either side, or with its epoch.
async fn connection(
    client: TcpStream,
    server: String,
    state: watch::Receiver<State>,
    epoch: u64,
    trap: Trap,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = state.clone();
    tokio::select! {
        _ = pump(from_client, to_server, state.clone(), trap) => (),
        _ = pump(from_server, to_client, state, Trap::default()) => (),
        _ = cut.wait_for(|state| state.epoch != epoch) => (),
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    trap: Trap,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let size = from.read(&mut buffer).await?;
        if size == 0 {
            return Ok(());
        }
        let thawed = state.wait_for(|state| state.weather != Weather::Frozen).await;
        let weather = thawed.map_err(io::Error::other)?.weather;
        if let Weather::Slow(by) = weather {
            tokio::time::sleep(by).await;
        }
        if falls_into(&trap, &buffer[..size]) {
            std::future::pending::<()>().await;
        }
        to.write_all(&buffer[..size]).await?;
    }
}

/// All words have to be in one message of the piece.
fn falls_into(trap: &Trap, piece: &[u8]) -> bool {
    let mut trap = trap.lock().unwrap();
    let piece = String::from_utf8_lossy(piece);
    let says = |words: &[String]| {
        piece.split(PUBLISHES).any(|message| words.iter().all(|words| message.contains(words)))
    };
    let caught = trap.take_if(|(words, _)| says(words));
    caught.is_some_and(|(_, caught)| {
        caught.notify_one();
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough to be sure that nothing comes.
    const NOTHING_COMES: Duration = Duration::from_millis(200);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server that sends back what it gets.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    /// What comes back of a byte: `None` if the connection is closed.
    async fn ask(client: &mut TcpStream) -> Option<u8> {
        client.write_all(b"x").await.ok()?;
        tokio::time::timeout(PATIENCE, client.read_u8()).await.unwrap().ok()
    }

    #[tokio::test]
    async fn connections_are_cut_and_new_ones_are_welcome_or_refused() {
        let proxy = Proxy::before(&echo().await).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client).await, Some(b'x'));
        proxy.cut();
        assert_eq!(ask(&mut client).await, None);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client).await, Some(b'x'));
        proxy.refuse();
        assert_eq!(ask(&mut client).await, None);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client).await, None);
        proxy.heal();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client).await, Some(b'x'));
    }

    #[tokio::test]
    async fn what_falls_into_a_trap_never_arrives_and_others_do() {
        let proxy = Proxy::before(&echo().await).await;
        let (mut caught, mut other) = (
            TcpStream::connect(proxy.address()).await.unwrap(),
            TcpStream::connect(proxy.address()).await.unwrap(),
        );
        let told = Arc::new(Notify::new());
        proxy.catch(&["z", "xy"], Arc::clone(&told));
        assert_eq!(ask(&mut caught).await, Some(b'x'));
        for apart in [b"xyPUB z".as_slice(), b"z", b"xy"] {
            caught.write_all(apart).await.unwrap();
            let mut echoed = vec![0; apart.len()];
            caught.read_exact(&mut echoed).await.unwrap();
            assert_eq!(echoed, apart, "not all words in one message");
        }
        caught.write_all(b"xyz").await.unwrap();
        tokio::time::timeout(PATIENCE, told.notified()).await.unwrap();
        assert!(tokio::time::timeout(NOTHING_COMES, caught.read_u8()).await.is_err());
        assert_eq!(ask(&mut other).await, Some(b'x'));
    }

    #[tokio::test]
    async fn a_frozen_connection_carries_nothing_and_what_it_held_comes_later() {
        let proxy = Proxy::before(&echo().await).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client).await, Some(b'x'));
        proxy.freeze();
        client.write_all(b"y").await.unwrap();
        assert!(tokio::time::timeout(NOTHING_COMES, client.read_u8()).await.is_err());
        proxy.heal();
        assert_eq!(tokio::time::timeout(PATIENCE, client.read_u8()).await.unwrap().unwrap(), b'y');
        proxy.delay(NOTHING_COMES);
        assert_eq!(ask(&mut client).await, Some(b'x'), "late, but there");
    }
}
