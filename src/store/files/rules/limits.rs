//! Rules of limits of calls.

use super::between;
use crate::definitions::{CallLimits, MAX_CALL_LIMIT};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// Limits that are a key of `field`.
pub(in crate::store::files) fn limits(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    limits: Option<&CallLimits>,
) {
    let (field, Some(limits)) = (field.at("limits"), limits) else { return };
    if limits.is_empty() {
        reader.report(&field, "must have `requestsPerMinute`, `maxInFlight` or both");
    }
    between(reader, &field.at("requestsPerMinute"), limits.requests_per_minute, 1, MAX_CALL_LIMIT);
    between(reader, &field.at("maxInFlight"), limits.max_in_flight, 1, MAX_CALL_LIMIT);
}
