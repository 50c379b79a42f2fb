//! Rules of a project.

use super::{at_least_one, limits, model, web_address};
use crate::definitions::Project;
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

pub(in crate::store::files) fn project(reader: &mut Reader<'_>, field: &Field<'_>, project: &Project) {
    model(reader, &field.at("defaultModel"), project.default_model.as_deref());
    if let Some(telemetry) = &project.telemetry {
        web_address(reader, &field.at("telemetry").at("endpoint"), &telemetry.endpoint);
    }
    at_least_one(reader, &field.at("budget").at("maxTokens"), project.budget.max_tokens);
    limits(reader, field, project.limits.as_ref());
}
