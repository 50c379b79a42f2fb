//! Values for the variables that a prompt declares.

use serde_json::{Map, Value};

use crate::adapters::template::{Variables, last_line};
use crate::execution::ports::TargetTurn;

/// Binds each declared input that has no value yet: to the parameter of its name, else, if it is the only one
/// left, to the customer's line, else to a text that shows that it has none.
pub(super) fn bind(
    inputs: &[String],
    parameters: &Map<String, Value>,
    turn: &TargetTurn<'_>,
    variables: &mut Variables,
) {
    let mut unbound = Vec::new();
    for input in inputs.iter().filter(|input| !variables.has(input)).collect::<Vec<_>>() {
        match parameters.get(input) {
            Some(value) => variables.bind_json(input, value),
            None => unbound.push(input),
        }
    }
    match unbound.as_slice() {
        [only] => variables.bind(only.as_str(), last_line(turn)),
        several => {
            for input in several {
                variables.bind(input.as_str(), format!("[unbound input: {input}]"));
            }
        }
    }
}
