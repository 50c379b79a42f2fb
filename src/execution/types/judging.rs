//! The judge's two tools: what a model that judges is asked to call, and with which fields.

/// The tool that says whether to go on: `{"reasoning", "decision"}`.
pub const DECIDE_TOOL: &str = "decide_next_step";

/// The tool that decides the criteria: `{"criteria": {"c1": {"requirement", "evidence": [{"message", "quote"}],
/// "reasoning", "status"}, …}, "reasoning"}`.
pub const VERDICT_TOOL: &str = "give_verdict";

/// Why, in a sentence or a few; in both tools, and for each criterion.
pub const REASONING_FIELD: &str = "reasoning";

/// What [`DECIDE_TOOL`] decides: [`DECISION_CONTINUE`] or [`DECISION_VERDICT`].
pub const DECISION_FIELD: &str = "decision";

/// The conversation goes on.
pub const DECISION_CONTINUE: &str = "continue";

/// The criteria can be decided.
pub const DECISION_VERDICT: &str = "verdict";

/// The criteria of [`VERDICT_TOOL`] by their ids `c1`, `c2`, ….
pub const CRITERIA_FIELD: &str = "criteria";

/// A criterion in the judge's own words.
pub const REQUIREMENT_FIELD: &str = "requirement";

/// What a criterion's status rests on: a list of [`MESSAGE_FIELD`] and [`QUOTE_FIELD`].
pub const EVIDENCE_FIELD: &str = "evidence";

/// The index of the message that is quoted, from 0.
pub const MESSAGE_FIELD: &str = "message";

/// Words of that message.
pub const QUOTE_FIELD: &str = "quote";

/// What a criterion comes to: `met`, `unmet` or `inconclusive`.
pub const STATUS_FIELD: &str = "status";
