//! What everybody says in a run: a function of the conversation so far and of nothing else, so that a run that was
//! interrupted has to read like one that was not.

use std::fmt;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The most turns of a run.
pub(crate) const MAX_TURNS: u32 = 4;
/// The one project.
pub(crate) const PROJECT: &str = "faults";
/// The agent under test.
pub(crate) const AGENT: &str = "shop";
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

/// How many turns a run has: its number says.
pub(crate) fn turns_of(run: &str) -> u32 {
    let number: u32 = run.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(1);
    number % MAX_TURNS + 1
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
    steps
}

/// The transcript of a run that nothing disturbed.
pub(crate) fn transcript_of(run: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..turns_of(run) {
        lines.push(customer_line(run, &render(&lines)));
        lines.push(agent_line(run, &render(&lines)));
    }
    lines
}

/// What the customer says after `so_far`.
pub(crate) fn customer_line(run: &str, so_far: &str) -> String {
    format!("{run}: I ask after {}", digest(so_far))
}

/// What the agent says after `so_far`.
pub(crate) fn agent_line(run: &str, so_far: &str) -> String {
    format!("{run}: I answer to {}", digest(so_far))
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
}
