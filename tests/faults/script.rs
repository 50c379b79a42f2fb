//! What everybody says in a run: a function of the conversation so far and of nothing else, so that a run that was
//! interrupted has to read like one that was not.

use std::fmt;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The most turns of a run.
pub(crate) const MAX_TURNS: u32 = 4;
/// Runs belong to this many projects in turn.
const PROJECTS: u32 = 20;
/// An agent that may be asked again, and one that must not (`onUnknown: fail`).
pub(crate) const AGENT: &str = "shop";
pub(crate) const CAREFUL_AGENT: &str = "bank";
/// What an agent of many words adds to an answer, in bytes: two of them do not fit into a message of [`MAX_PAYLOAD`].
const MANY_WORDS: usize = 36 * 1024;
/// The largest message of the broker where agents of many words are, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 64 * 1024;
/// One run in so many is refused an answer, has a careful agent, has one of many words, and an endpoint for its spans that
/// takes them late or never. They have no divisor in common, so that every mixture is there among many runs.
const REFUSED_EVERY: u32 = 6;
const CAREFUL_EVERY: u32 = 5;
const LARGE_EVERY: u32 = 7;
const ENDPOINTS: u32 = 11;
/// Bytes of a digest that a line shows.
const SHOWN: usize = 6;

/// Whose call it is, in the order of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// The customer's model.
    Customer,
    /// The agent under test.
    Agent,
    /// The judge's model, asked whether to go on.
    Decide,
    /// The judge's model, asked for the verdict.
    Verdict,
}

/// One external call of a run. Later steps are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Step {
    /// The turn, from 1.
    pub(crate) turn: u32,
    /// Whose call it is.
    pub(crate) part: Part,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of turn {}", self.part, self.turn)
    }
}

impl Step {
    /// The step that ends with the message at this index.
    pub(crate) fn of_message(index: usize) -> Self {
        let part = if index.is_multiple_of(2) { Part::Customer } else { Part::Agent };
        Self { turn: u32::try_from(index / 2).unwrap() + 1, part }
    }
}

/// Everything about a run follows from its number.
fn number_of(run: &str) -> u32 {
    run.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The id of the run's project.
pub(crate) fn project_of(run: &str) -> String {
    format!("project-{}", number_of(run) % PROJECTS)
}

/// How many turns a run has.
pub(crate) fn turns_of(run: &str) -> u32 {
    number_of(run) % MAX_TURNS + 1
}

/// Whether the agent refuses to answer in the run's last turn, which ends it as an error.
pub(crate) fn ends_refused(run: &str) -> bool {
    number_of(run) % REFUSED_EVERY == 4
}

/// Whether this is the step whose question the agent refuses.
pub(crate) fn is_refused(run: &str, step: Step) -> bool {
    ends_refused(run) && step == Step { turn: turns_of(run), part: Part::Agent }
}

/// Whether the run's agent must not be asked twice.
pub(crate) fn is_careful(run: &str) -> bool {
    number_of(run) % CAREFUL_EVERY == 2
}

/// Whether the run's transcript does not fit into a message of [`MAX_PAYLOAD`] once the agent answered twice.
pub(crate) fn is_large(run: &str) -> bool {
    number_of(run) % LARGE_EVERY == 3
}

/// The id of the run's agent.
pub(crate) fn agent_of(run: &str) -> &'static str {
    if is_careful(run) { CAREFUL_AGENT } else { AGENT }
}

/// How an endpoint takes spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Prompt,
    Slow,
    Hanging,
}

/// Where the run's spans go.
pub(crate) fn endpoint_of(run: &str) -> Endpoint {
    match number_of(run) % ENDPOINTS {
        4 | 6 => Endpoint::Hanging,
        9 => Endpoint::Slow,
        _ => Endpoint::Prompt,
    }
}

/// Every call of a run, in order.
pub(crate) fn steps_of(run: &str) -> Vec<Step> {
    let last = turns_of(run);
    let mut steps = Vec::new();
    for turn in 1..=last {
        steps.extend([Part::Customer, Part::Agent].map(|part| Step { turn, part }));
        // In the last turn that there may be, the judge is not asked whether to go on.
        steps.extend((turn < MAX_TURNS).then_some(Step { turn, part: Part::Decide }));
    }
    steps.push(Step { turn: last, part: Part::Verdict });
    steps.retain(|step| !ends_refused(run) || *step <= Step { turn: last, part: Part::Agent });
    steps
}

/// The transcript of a run that nothing disturbed.
pub(crate) fn transcript_of(run: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..turns_of(run) {
        lines.push(customer_line(run, &render(&lines)));
        lines.push(agent_line(run, &render(&lines)));
    }
    lines.truncate(lines.len() - usize::from(ends_refused(run)));
    lines
}

/// What the customer says after `so_far`.
pub(crate) fn customer_line(run: &str, so_far: &str) -> String {
    format!("{run}: I ask after {}", digest(so_far))
}

/// What the agent says after `so_far`.
pub(crate) fn agent_line(run: &str, so_far: &str) -> String {
    let more = if is_large(run) { "x".repeat(MANY_WORDS) } else { String::new() };
    format!("{run}: I answer to {}{more}", digest(so_far))
}

/// The transcript as models read it: customer and agent take turns.
pub(crate) fn render(lines: &[String]) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let speaker = if index.is_multiple_of(2) { "customer" } else { "agent" };
        writeln!(text, "[{index}] {speaker}: {}", Value::from(line.as_str())).unwrap();
    }
    text
}

fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..SHOWN])
}

#[test]
fn the_steps_of_a_run_are_in_order_and_as_many_as_its_turns_need() {
    let steps = steps_of("run-1");
    assert!(steps.is_sorted());
    assert_eq!((turns_of("run-1"), steps.len(), transcript_of("run-1").len()), (2, 7, 4));
    assert_eq!(steps_of("run-3").len(), 3 * 3 + 2 + 1, "the last possible turn has no decision");
    let steps = steps_of("run-10");
    assert_eq!((turns_of("run-10"), steps.len(), transcript_of("run-10").len()), (3, 8, 5), "refused");
    assert!(is_refused("run-10", *steps.last().unwrap()));
}

#[test]
fn sixty_runs_have_every_mixture_that_ends_differently() {
    let runs: Vec<_> = (0..60).map(|number| format!("run-{number}")).collect();
    let some = |is: &dyn Fn(&str) -> bool| runs.iter().filter(|run| is(run)).count();
    assert!(some(&|run| ends_refused(run) && endpoint_of(run) == Endpoint::Hanging) > 0);
    assert!(some(&|run| ends_refused(run) && is_careful(run)) > 0);
    assert!(some(&|run| is_large(run) && turns_of(run) > 2 && !ends_refused(run)) > 0);
    assert!(some(&|run| is_careful(run) && endpoint_of(run) != Endpoint::Prompt) > 0);
}
