//! How well the guard tells customers' lines from others, measured on lines that people have labelled.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::guard::{Fault, Heard};
use super::line_of;

/// The guard is developed on these.
const DEVELOPMENT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/customer_lines/development.jsonl"));
/// Written before the guard, and never used for it.
const HELD_OUT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/customer_lines/held_out.jsonl"));
/// Written after the guard, and never used for it.
const FRESH: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/customer_lines/fresh.jsonl"));
/// Customers who use an agent's words, and agents' lines in plain ones; written before the guard was changed for them.
const REVIEWED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/customer_lines/reviewed.jsonl"));
/// Written when the guard had been changed for those, and measured before it was changed for these as well.
const LATER: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/customer_lines/later.jsonl"));
/// Written when that was done, and measured before two words were changed for it.
const UNSEEN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/customer_lines/unseen.jsonl"));

/// An answer of a model that plays the customer.
#[derive(Debug, Deserialize)]
struct Labelled {
    lang: String,
    agent: Option<String>,
    own: Option<String>,
    line: String,
    /// What is wrong with it; nothing where it is a customer's line, or can be mended.
    fault: Option<Fault>,
}

/// How often the guard was right, in counts of lines.
#[derive(Debug, Default)]
struct Measure {
    caught: u32,
    missed: u32,
    wronged: u32,
    let_through: u32,
    /// Bad lines by fault.
    kinds: BTreeMap<Fault, Kind>,
}

/// How often lines with one fault were refused.
#[derive(Debug, Default)]
struct Kind {
    lines: u32,
    refused: u32,
    /// Refused for that fault.
    named: u32,
}

impl Measure {
    fn of(name: &str, lines: &str) -> Self {
        let mut measure = Self::default();
        for line in lines.lines() {
            measure.count(&serde_json::from_str(line).unwrap());
        }
        let Self { caught, missed, wronged, let_through, kinds } = &measure;
        let (precision, recall) = (measure.precision(), measure.recall());
        println!("{name}: precision {precision:.3}, recall {recall:.3}");
        println!("  {caught} caught, {missed} missed, {wronged} wronged, {let_through} let through");
        for (fault, Kind { lines, refused, named }) in kinds {
            println!("  {fault:?}: {refused} of {lines} refused, {named} for that");
        }
        measure
    }

    fn count(&mut self, labelled: &Labelled) {
        let Labelled { lang, agent, own, line, fault } = labelled;
        let heard = Heard { agent: agent.as_deref(), own: own.as_deref() };
        let found = line_of(line, &heard).err().map(|refusal| refusal.fault);
        match (fault.is_some(), found.is_some()) {
            (true, true) => self.caught += 1,
            (true, false) => self.missed += 1,
            (false, true) => self.wronged += 1,
            (false, false) => self.let_through += 1,
        }
        if fault.is_some() != found.is_some() {
            println!("  {fault:?} taken for {found:?} ({lang}): {line}");
        }
        if let Some(fault) = fault {
            let kind = self.kinds.entry(*fault).or_default();
            kind.lines += 1;
            kind.refused += u32::from(found.is_some());
            kind.named += u32::from(found == Some(*fault));
        }
    }

    /// How many of the refused lines were bad.
    fn precision(&self) -> f64 {
        f64::from(self.caught) / f64::from(self.caught + self.wronged)
    }

    /// How many of the bad lines were refused.
    fn recall(&self) -> f64 {
        f64::from(self.caught) / f64::from(self.caught + self.missed)
    }

    /// Fails below the floors, which are a little below what was measured when they were set.
    fn is_at_least(&self, precision: f64, recall: f64) {
        assert!(self.precision() >= precision && self.recall() >= recall, "{self:?}");
    }
}

#[test]
fn the_guard_knows_the_lines_that_it_was_developed_on() {
    Measure::of("development", DEVELOPMENT).is_at_least(0.98, 0.95);
}

#[test]
fn the_guard_refuses_no_customer_and_nearly_every_other_that_was_held_out() {
    Measure::of("held out", HELD_OUT).is_at_least(0.97, 0.95);
}

#[test]
fn the_guard_refuses_no_customer_and_most_others_that_it_never_heard_of() {
    Measure::of("fresh", FRESH).is_at_least(0.95, 0.70);
}

#[test]
fn the_guard_tells_customers_who_use_an_agents_words_from_agents() {
    Measure::of("reviewed", REVIEWED).is_at_least(0.97, 0.95);
}

#[test]
fn the_guard_tells_customers_from_agents_of_other_trades() {
    Measure::of("later", LATER).is_at_least(0.98, 0.90);
}

#[test]
fn the_guard_refuses_hardly_any_customer_of_a_second_set_that_it_never_heard_of() {
    Measure::of("unseen", UNSEEN).is_at_least(0.95, 0.20);
}
