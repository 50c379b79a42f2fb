//! One delivery from claim to settlement, many at once.
