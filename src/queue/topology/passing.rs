//! Which troubles of JetStream pass by themselves.

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{Error, ErrorCode};

/// What a cluster says that is starting, or that has lost servers: too few of them, no peers for a copy, no leader at present, a stream or
/// a consumer whose servers are away.
const PASSING: [ErrorCode; 6] = [
    ErrorCode::CLUSTER_INCOMPLETE,
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::STREAM_OFFLINE,
    ErrorCode::CONSUMER_OFFLINE,
];
/// JetStream is switched off: that is a matter of configuration.
const SWITCHED_OFF: [ErrorCode; 2] =
    [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];

/// Reading goes wrong where nobody answers, which passes, or where JetStream is switched off, which does not.
pub(super) fn read_may_pass(error: &async_nats::Error) -> bool {
    match error.downcast_ref::<GetStreamError>().map(GetStreamError::kind) {
        Some(GetStreamErrorKind::JetStream(answer)) => !SWITCHED_OFF.contains(&answer.error_code()),
        _ => true,
    }
}

/// What the server says no to stays refused, unless it only cannot do it now.
pub(super) fn write_may_pass(error: &async_nats::Error) -> bool {
    let is_passing = |answer: &Error| PASSING.contains(&answer.error_code());
    if let Some(error) = error.downcast_ref::<CreateStreamError>() {
        return match error.kind() {
            CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => true,
            CreateStreamErrorKind::JetStream(answer) => is_passing(&answer),
            _ => false,
        };
    }
    match error.downcast_ref::<ConsumerError>().map(ConsumerError::kind) {
        Some(ConsumerErrorKind::TimedOut) => true,
        Some(ConsumerErrorKind::JetStream(answer)) => is_passing(&answer),
        _ => false,
    }
}
