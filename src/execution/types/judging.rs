//! How the judge is asked: the names of its tools and of their arguments.

/// Tool of the first phase: go on, or judge now.
pub const DECIDE_TOOL: &str = "decide_next_step";
/// Tool of the second phase: every criterion.
pub const VERDICT_TOOL: &str = "give_verdict";
/// Argument: why.
pub const REASONING: &str = "reasoning";
/// Argument of [`DECIDE_TOOL`]: one of the two below.
pub const DECISION: &str = "decision";
/// The conversation should go on.
pub const DECISION_CONTINUE: &str = "continue";
/// There is enough to judge by.
pub const DECISION_VERDICT: &str = "verdict";
/// Argument of [`VERDICT_TOOL`]: an object with an entry for every criterion id.
pub const CRITERIA: &str = "criteria";
/// Part of a criterion's entry: the criterion restated, so that a negated one is not misread.
pub const REQUIREMENT: &str = "requirement";
/// Part of a criterion's entry: `met`, `unmet` or `inconclusive`.
pub const STATUS: &str = "status";
