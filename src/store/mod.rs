//! Definitions kept in SQLite or PostgreSQL.
