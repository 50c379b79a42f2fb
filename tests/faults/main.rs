//! Faults: the built workers, a real broker and a real database, killed, frozen, cut off and delayed while they run;
//! then a checker reads what everybody saw and says whether the promises were kept.
//!
//! Everything random follows from one seed, which is printed. `FAULTS_SEED` repeats it.
#![expect(clippy::too_many_lines, reason = "a test tells one story from start to end")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what cannot go wrong in a test fails it")]

/// What the other test binary uses, too.
#[path = "../support"]
mod support {
    #[expect(dead_code, unused_macros, unused_imports, reason = "the other test binary uses the rest")]
    pub(crate) mod database;
    #[expect(dead_code, reason = "the other test binary uses the rest")]
    pub(crate) mod nats;
    #[expect(dead_code, reason = "the other test binary uses the rest")]
    pub(crate) mod worker;
}

mod boundaries;
mod checker;
mod cluster;

mod doubles;
mod fleet;
mod harness;
mod history;
mod injection;
mod load;
mod outage;
mod proxy;
mod record;
mod rolling;
mod scene;
mod script;
mod sleepers;
mod summary;
mod timeline;
mod wire;
