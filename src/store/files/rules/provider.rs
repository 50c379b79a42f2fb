//! Rules of a model provider.

use super::{at_least_one, id, limits, web_address};
use crate::definitions::Provider;
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

pub(in crate::store::files) fn provider(reader: &mut Reader<'_>, field: &Field<'_>, provider: &Provider) {
    id(reader, &field.at("id"), &provider.id);
    if provider.id.contains('/') || provider.id.trim().is_empty() {
        reader.report(&field.at("id"), "must be what comes before the first slash of a model's name");
    }
    if let Some(url) = &provider.base_url {
        web_address(reader, &field.at("baseUrl"), url);
    }
    at_least_one(reader, &field.at("timeoutSeconds"), provider.timeout_seconds);
    let idle = &field.at("idleTimeoutSeconds");
    at_least_one(reader, idle, provider.idle_timeout_seconds);
    match (provider.idle_timeout_seconds, provider.timeout_seconds) {
        (Some(pause), Some(all)) if pause > all => {
            let reason = format!("is {pause}, more than timeoutSeconds ({all}), so it would never apply");
            reader.report(idle, reason);
        }
        _ => {}
    }
    prices(reader, &field.at("prices"), provider);
    limits(reader, field, provider.limits.as_ref());
}

fn prices(reader: &mut Reader<'_>, field: &Field<'_>, provider: &Provider) {
    for name in provider.prices.keys().filter(|name| name.trim().is_empty()) {
        reader.report(&field.key(name), "must be the name of a model");
    }
}
