//! Targets: adapters for agents under test, behind one registry.
