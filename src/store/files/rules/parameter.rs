//! Rules of what a scenario leaves open.

use crate::definitions::{MAX_PARAMETERS, ParameterDefinition};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// How a file may call the default beside its usual name.
const DEFAULT: (&str, &str) = ("defaultValue", "default");

pub(super) fn parameters(reader: &mut Reader<'_>, field: &Field<'_>, parameters: &[ParameterDefinition]) {
    if parameters.len() > MAX_PARAMETERS {
        let reason = format!("has {} parameters; it may have at most {MAX_PARAMETERS}", parameters.len());
        reader.report(field, reason);
    }
    for (index, parameter) in parameters.iter().enumerate() {
        let item = field.item(index);
        for (part, reason) in parameter.problems() {
            let written = item.get(part).or_else(|| item.get(DEFAULT.1).filter(|_| part == DEFAULT.0));
            reader.report(&written.unwrap_or_else(|| item.at(part)), reason);
        }
        if parameters[..index].iter().any(|earlier| earlier.name == parameter.name) {
            reader.report(&item.at("name"), format!("'{}' is declared twice", parameter.name));
        }
    }
}
