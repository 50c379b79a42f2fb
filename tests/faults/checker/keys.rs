//! Every call of an agent says which it is: a repeated one the same as before, and no other one.

use std::collections::BTreeMap;

use super::{Rule, Violation};
use crate::history::{Call, History};
use crate::script::{Part, Step};

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut steps = BTreeMap::<&str, (&str, Step)>::new();
    let mut keys = BTreeMap::<(&str, Step), &str>::new();
    let mut found = Vec::new();
    for call in history.calls.iter().filter(|call| call.step.part == Part::Agent) {
        let Some(key) = call.key.as_deref().filter(|key| key.contains(&call.run)) else {
            found.push(violation(call, &format!("has the key {:?}, which does not name its run", call.key)));
            continue;
        };
        let own = (call.run.as_str(), call.step);
        let (run, step) = *steps.entry(key).or_insert(own);
        if (run, step) != own {
            found.push(violation(call, &format!("has the key {key} of {step} of {run}")));
        }
        let first = *keys.entry(own).or_insert(key);
        if first != key {
            found.push(violation(call, &format!("has the key {key}, and had {first} before")));
        }
    }
    found
}

fn violation(call: &Call, what: &str) -> Violation {
    let what = format!("{}: {} {what}", call.run, call.step);
    Violation { rule: Rule::Key, run: Some(call.run.clone()), what }
}
