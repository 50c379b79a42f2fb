//! Room for what is being received. Whatever a request takes in memory is taken from here first, as it comes, so that what
//! all senders together make the worker hold is bounded, and who sends slowly holds no more than he has sent.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Problem;
use super::body::MAX_BODY_BYTES;
use super::weight::MAX_READ_BYTES;

/// The bytes of all requests that are looked at at one time, packed, unpacked and read: 128 MiB.
pub(super) const ROOM_BYTES: usize = 128 * 1024 * 1024;
/// What they are counted in: a permit stands for 1 KiB, because there are fewer permits than bytes.
const UNIT_BYTES: usize = 1024;

const _: () = assert!(2 * MAX_BODY_BYTES + MAX_READ_BYTES < ROOM_BYTES, "the largest request has room");

/// The room of a receiver.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// What one request has of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    /// Bytes of it that are free yet.
    spare: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)))
    }
}

impl Room {
    /// A share that has nothing yet.
    pub(super) fn share(&self) -> Share {
        Share { room: Arc::clone(&self.0), taken: None, spare: 0 }
    }
}

impl Share {
    /// Takes room for `bytes` more, or none.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        let units = bytes.saturating_sub(self.spare).div_ceil(UNIT_BYTES);
        let permits = u32::try_from(units).map_err(|_| Problem::TooLarge)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(permits).map_err(|_| Problem::Busy)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            taken => *taken = Some(more),
        }
        self.spare = self.spare + units * UNIT_BYTES - bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_large_as_what_was_taken_and_come_back() {
        let room = Room::default();
        let (mut one, mut other) = (room.share(), room.share());
        for _ in 0..4 {
            one.take(UNIT_BYTES / 4).unwrap();
        }
        other.take(ROOM_BYTES - UNIT_BYTES).unwrap();
        assert_eq!(one.take(1), Err(Problem::Busy));
        drop(other);
        one.take(ROOM_BYTES - UNIT_BYTES).unwrap();
        assert_eq!(one.take(usize::MAX), Err(Problem::TooLarge));
    }
}
