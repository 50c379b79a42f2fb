//! Whose turn it is to post: every endpoint of a project has its share of what goes out at one time, so that one that
//! hangs holds up nobody but its own project.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::Destination;
use crate::events::ProjectId;

/// Posts at the same time over all endpoints: few enough that thousands of runs that end together do not open thousands of
/// connections.
const PLACES: usize = 256;
/// Those of them that one endpoint may have. With a tenth of a second for a post they bring the steps of hundreds of runs.
const SHARE: u32 = 32;
/// Posts at the same time to an endpoint that was slow the last time: dozens of such leave room for the others.
const SLOW_SHARE: u32 = 8;
/// From here on a post was slow.
const SLOW: Duration = Duration::from_secs(5);
/// The longest wait for one of all places. Whoever has a place in the share of its endpoint goes without one then: that many
/// others are slow at the same time, and its run has no time for them.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The endpoint of a project: which project, and the origin of its URL.
type Address = (ProjectId, String);

/// All that goes out.
#[derive(Debug)]
pub(super) struct Lanes {
    places: Arc<Semaphore>,
    /// Those somebody posts on, or wants to.
    lanes: Mutex<HashMap<Address, Weak<Lane>>>,
}

/// What goes to one endpoint.
#[derive(Debug)]
pub(super) struct Lane {
    share: Arc<Semaphore>,
    places: Arc<Semaphore>,
    slow: AtomicBool,
}

/// Leave to post, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    lane: &'a Lane,
    since: Instant,
    _own: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), lanes: Mutex::default() }
    }

    /// The lane to `destination`, for as long as somebody has it.
    pub(super) fn lane(&self, project: &ProjectId, destination: &Destination) -> Arc<Lane> {
        let address = (project.clone(), destination.url().origin().ascii_serialization());
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&address).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Lane::new(&self.places));
        lanes.insert(address, Arc::downgrade(&lane));
        lane
    }
}

impl Lane {
    fn new(places: &Arc<Semaphore>) -> Self {
        let share = Arc::new(Semaphore::new(SHARE as usize));
        Self { share, places: Arc::clone(places), slow: AtomicBool::new(false) }
    }

    /// Waits for leave to post. The semaphores are never closed; without a permit a post would still be right, only less
    /// orderly.
    pub(super) async fn enter(&self) -> Place<'_> {
        let weight = if self.slow.load(Ordering::Relaxed) { SHARE / SLOW_SHARE } else { 1 };
        let own = Arc::clone(&self.share).acquire_many_owned(weight).await.ok();
        let of_all = timeout(LONGEST_WAIT, Arc::clone(&self.places).acquire_owned()).await;
        Place { lane: self, since: Instant::now(), _own: own, _of_all: of_all.ok().and_then(Result::ok) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.slow.store(self.since.elapsed() >= SLOW, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::definitions::{TelemetryDestination, TelemetryProtocol};

    fn lane(lanes: &Lanes, project: &str, endpoint: &str) -> Arc<Lane> {
        let destination = Destination::parse(&TelemetryDestination {
            endpoint: endpoint.into(),
            api_key: None,
            protocol: TelemetryProtocol::Otlp,
            capture: None,
            events: None,
        });
        lanes.lane(&ProjectId::parse(project).unwrap(), &destination.unwrap())
    }

    async fn enter_all(lane: &Lane, times: u32) -> Vec<Place<'_>> {
        join_all((0..times).map(|_| lane.enter())).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_has_its_share_and_no_more() {
        let lanes = Lanes::new();
        let (hangs, other) = (lane(&lanes, "acme", "http://a"), lane(&lanes, "other", "http://a"));
        let held = enter_all(&hangs, SHARE).await;
        assert!(timeout(Duration::from_hours(1), hangs.enter()).await.is_err());
        drop(other.enter().await);
        assert_eq!(lanes.places.available_permits(), PLACES - held.len());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_slow_gets_fewer_until_it_is_quick_again() {
        let lanes = Lanes::new();
        let lane = lane(&lanes, "acme", "http://a");
        let held = lane.enter().await;
        tokio::time::advance(SLOW).await;
        drop(held);
        let held = enter_all(&lane, SLOW_SHARE).await;
        assert!(timeout(Duration::from_hours(1), lane.enter()).await.is_err());
        drop(held);
        drop(lane.enter().await);
        assert_eq!(enter_all(&lane, SHARE).await.len(), SHARE as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn when_every_place_is_taken_the_next_one_goes_all_the_same() {
        let lanes = Lanes::new();
        let _all =
            Arc::clone(&lanes.places).acquire_many_owned(u32::try_from(PLACES).unwrap()).await.unwrap();
        let lane = lane(&lanes, "acme", "http://a");
        assert!(timeout(LONGEST_WAIT * 2, lane.enter()).await.is_ok());
    }

    #[test]
    fn a_lane_that_nobody_has_is_forgotten() {
        let lanes = Lanes::new();
        let kept = lane(&lanes, "acme", "http://a");
        assert!(Arc::ptr_eq(&kept, &lane(&lanes, "acme", "http://a/elsewhere")));
        for n in 0..100 {
            drop(lane(&lanes, &format!("p{n}"), "http://a"));
        }
        assert!(lanes.lanes.lock().unwrap().len() <= 2);
    }
}
