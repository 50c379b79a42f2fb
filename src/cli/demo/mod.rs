//! `demo`: five rehearsals on this machine, with nothing to set up: what the program does, and whether it works here.

mod agent;
mod backstage;
mod nats_server;
mod program;
mod stage;
mod traces;

use std::time::Duration;

use futures::Stream;

use super::arguments::{DemoOptions, Layers};
use super::error::{CliError, Finished};
use super::signals::StopSignals;
use super::terminal::{BAD, DIM, GOOD, HEADING, Story, plain, say, styled, table, tree};
use crate::events::{Receipt, RunCompleted};
use crate::queue::feed::{self, Event, FeedError, FeedFilter, FeedStart};
use backstage::Backstage;
use program::PROGRAM;
use stage::Stage;
use traces::Traces;

/// How long the rehearsals may take together before the demo gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is said when nothing was a surprise.
const AS_EXPECTED: &str =
    "All as it should be: three agents passed, one missed a criterion, one was out of order.";

/// Runs the demo. It ends well only if everything happened as it should. However it ends, nothing is left behind.
pub(super) async fn run(layers: &Layers, options: DemoOptions) -> Result<Finished, CliError> {
    layers.refuse_for("demo")?;
    // Before anything is there that a signal could leave behind.
    let mut signals = StopSignals::listen()?;
    let mut backstage = Backstage::open(options.nats_server)?;
    let shown = tokio::select! {
        shown = show(&mut backstage, options.keep) => shown,
        signal = signals.received() => Ok(Finished::Stopped(signal)),
    };
    if let (true, Ok(Finished::Well | Finished::WithFailedRuns)) = (options.keep, &shown) {
        say("Everything stays up until Ctrl-C.");
        signals.received().await;
    }
    backstage.clear().await.and(shown)
}

async fn show(backstage: &mut Backstage, keep: bool) -> Result<Finished, CliError> {
    say(styled(HEADING, "Scenario Worker: five rehearsals, offline, on this machine"));
    let stage = Box::pin(Stage::set(backstage)).await?;
    let broker = &stage.settings.nats.url;
    say(styled(DIM, format_args!("its own broker ({broker}), store, agent and trace receiver are up\n")));
    let outcomes = perform(&stage).await?;
    let is_well = review(&outcomes, &stage.traces);
    say(next_steps());
    if keep {
        say(format_args!("Poke at it with:\n  --nats-url {broker} --store-url {}", stage.settings.store.url));
    } else {
        stage.strike().await?;
    }
    Ok(if is_well { Finished::Well } else { Finished::WithFailedRuns })
}

/// Schedules all rehearsals and follows them to their outcomes.
async fn perform(stage: &Stage) -> Result<Vec<RunCompleted>, CliError> {
    let (everything, now) = ([FeedFilter::default()], FeedStart::Now);
    let opened = feed::open(&stage.connection, &everything, now).await;
    let mut events = opened.map_err(|error| CliError::out_of_reach(&error))?;
    schedule(stage).await?;
    let followed = tokio::time::timeout(PATIENCE, follow(&mut events, PROGRAM.len())).await;
    followed
        .map_err(|_| CliError::refused(format!("the rehearsals took longer than {} s", PATIENCE.as_secs())))?
}

async fn schedule(stage: &Stage) -> Result<(), CliError> {
    for rehearsal in PROGRAM {
        let receipt = stage.scheduler.schedule(rehearsal.request()?, Some(rehearsal.scenario), None).await;
        if let Receipt::Refused { error, .. } = receipt.map_err(|error| CliError::out_of_reach(&error))? {
            return Err(CliError::refused(error.message));
        }
    }
    Ok(())
}

/// Tells what happens until `runs` outcomes have come.
async fn follow(
    events: &mut (impl Stream<Item = Result<Event, FeedError>> + Unpin),
    runs: usize,
) -> Result<Vec<RunCompleted>, CliError> {
    let (mut story, mut outcomes) = (Story::default(), Vec::new());
    while outcomes.len() < runs {
        let event = feed::next(events).await.map_err(|error| CliError::out_of_reach(&error))?;
        say(story.tell(&event));
        if let Event::Completed(outcome) = event {
            outcomes.push(*outcome);
        }
    }
    Ok(outcomes)
}

/// Shows what came of it; true if everything is as it should be.
fn review(outcomes: &[RunCompleted], traces: &Traces) -> bool {
    say(format_args!("\n{}\n{}", styled(HEADING, "Outcomes"), table(outcomes)));
    if let Some(outcome) = outcomes.iter().find(|outcome| outcome.ids.scenario_id.as_str() == program::TRACED)
    {
        let heading =
            format_args!("The trace of {}, as the tenant's endpoint received it", outcome.ids.scenario_id);
        say(format_args!("\n{}\n{}", styled(HEADING, heading), tree(&traces.of(outcome))));
    }
    let mut surprises: Vec<String> =
        PROGRAM.iter().filter_map(|rehearsal| rehearsal.surprise(outcomes)).collect();
    surprises.extend(traces.surprises(outcomes));
    for surprise in &surprises {
        say(styled(BAD, format_args!("✘ {}", plain(surprise))));
    }
    if surprises.is_empty() {
        say(format_args!("\n{}", styled(GOOD, AS_EXPECTED)));
    }
    surprises.is_empty()
}

fn next_steps() -> String {
    let program = std::env::args().next().unwrap_or_else(|| "scenario-worker".to_owned());
    let lines = [
        format!("\"$(deploy/nats-server)\" -js -sd .tools/jetstream & {program} serve &"),
        format!(
            "OPENAI_API_KEY=sk-… AGENT_URL=http://127.0.0.1:8088/chat {program} import config/example.yaml"
        ),
        format!("{program} schedule --project acme --scenario refund --target http:my-agent --wait"),
    ];
    format!("\n{}\n  {}\n", styled(HEADING, "Next, with your own agent and key:"), lines.join("\n  "))
}
