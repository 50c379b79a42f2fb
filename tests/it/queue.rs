//! Tests of `queue`.
