//! The process: parse, load settings, start one command.

fn main() {}
