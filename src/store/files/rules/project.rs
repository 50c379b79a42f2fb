//! Rules of a project.

use super::{at_least_one, limits, model, web_address};
use crate::definitions::{Project, RunEvents, TelemetryDestination};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

pub(in crate::store::files) fn project(reader: &mut Reader<'_>, field: &Field<'_>, project: &Project) {
    model(reader, &field.at("defaultModel"), project.default_model.as_deref());
    if let Some(telemetry) = &project.telemetry {
        let field = field.at("telemetry");
        web_address(reader, &field.at("endpoint"), &telemetry.endpoint);
        run_events(reader, &field.at("events"), telemetry);
    }
    at_least_one(reader, &field.at("budget").at("maxTokens"), project.budget.max_tokens);
    limits(reader, field, project.limits.as_ref());
}

fn run_events(reader: &mut Reader<'_>, field: &Field<'_>, telemetry: &TelemetryDestination) {
    match &telemetry.events {
        None | Some(RunEvents::AsSpans(false)) => {}
        Some(RunEvents::AsSpans(true)) => match telemetry.platform() {
            None => reader.report(
                field,
                "is true, but the spans do not go to LangWatch: give `endpoint` and `apiKey` of the one that is to be told",
            ),
            Some(platform) if platform.api_key.is_none() => {
                reader.report(field, "is true, but `telemetry` has no `apiKey`, without which LangWatch takes nothing");
            }
            Some(_) => {}
        },
        Some(RunEvents::Elsewhere(platform)) => {
            web_address(reader, &field.at("endpoint"), &platform.endpoint);
            if platform.api_key.is_none() {
                reader.report(&field.at("apiKey"), "is missing; LangWatch takes nothing without it");
            }
        }
    }
}
