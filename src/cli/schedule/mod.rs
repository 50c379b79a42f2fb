//! `schedule`: ask for runs, and wait for them if asked to.

mod axis;
mod cells;
mod keys;
mod ordering;
mod waiting;

use super::arguments::{Layers, ScheduleOptions};
use super::error::{CliError, Finished};
use super::signals::{StopSignal, StopSignals};
use super::terminal::{clear_progress, say};
use super::wiring::{self, Definitions};
use crate::events::subjects::{EVENTS_STREAM, REQUESTS_STREAM};
use crate::queue::{Connection, Scheduler};

pub(super) use axis::{Axis, parse_axis};
pub(super) use cells::judges;
use ordering::{Order, Ordered};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker schedule";

/// Schedules the runs; nothing is called scheduled before the stream has it.
pub(super) async fn run(layers: &Layers, options: ScheduleOptions) -> Result<Finished, CliError> {
    let order = Order::new(options)?;
    let settings = layers.settings()?;
    let definitions = Definitions::open_existing(&settings).await?;
    definitions.require_some().await?;
    let connection = wiring::connect(&settings, CLIENT_NAME).await?;
    wiring::require_streams(&connection, &[REQUESTS_STREAM, EVENTS_STREAM]).await?;
    let scheduler = definitions.scheduler(&connection, &settings)?;
    order.check(&scheduler, &definitions).await?;
    let (mut signals, mut ordered) = (StopSignals::listen()?, Ordered::default());
    let finished = tokio::select! {
        finished = play(&connection, &scheduler, &definitions, &order, &mut ordered) => finished,
        signal = signals.received() => Ok(stopped(signal, &order, &ordered)),
    };
    clear_progress();
    finished
}

async fn play(
    connection: &Connection,
    scheduler: &Scheduler,
    definitions: &Definitions,
    order: &Order,
    ordered: &mut Ordered,
) -> Result<Finished, CliError> {
    order.schedule(scheduler, definitions, ordered).await?;
    if !order.options.wait {
        return Ok(Finished::Well);
    }
    waiting::finish(connection, order, ordered).await
}

/// The runs go on, whoever stops asking for them or waiting.
fn stopped(signal: StopSignal, order: &Order, ordered: &Ordered) -> Finished {
    clear_progress();
    if !order.is_alone() && !order.options.json {
        say(order.left_behind(ordered));
    }
    Finished::Stopped(signal)
}
