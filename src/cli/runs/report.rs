//! All of one run, for reading.

use textwrap::Options;

use super::list::{cost, time};
use crate::cli::terminal::{
    BAD, DIM, GOOD, HEADING, WARN, WIDTH, plain, plain_line, seconds, status, style_of, styled,
};
use crate::events::{
    Agreement, CriterionResult, CriterionStatus, DecidedBy, MessageRole, RunCompleted, RunError, RunStatus,
    TelemetryReceipt, TokenUsage, ToolCall, TranscriptMessage, Vote,
};

/// Before what belongs to a heading, and before what belongs to that.
const INDENT: &str = "  ";
const DEEPER: &str = "      ";

/// The run as lines to print.
pub(super) fn report(outcome: &RunCompleted) -> String {
    let mut lines = head(outcome);
    section(&mut lines, "Error", outcome.error.iter().flat_map(error).collect());
    section(&mut lines, "Criteria", outcome.criteria.iter().flat_map(criterion).collect());
    section(&mut lines, "Conversation", conversation(outcome));
    section(&mut lines, "Usage", usage(outcome));
    section(&mut lines, "Trace", trace(&outcome.telemetry));
    section(&mut lines, "Next", next(outcome));
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str, content: Vec<String>) {
    if !content.is_empty() {
        lines.extend([String::new(), styled(HEADING, title)]);
        lines.extend(content);
    }
}

fn head(outcome: &RunCompleted) -> Vec<String> {
    let ids = &outcome.ids;
    let state = styled(style_of(outcome.status), status(outcome.status));
    let target = format!("{}:{}", outcome.target.kind, outcome.target.reference_id);
    let place = format!(
        "scenario {}, target {target}, set {}, batch {}",
        ids.scenario_id, ids.set_id, ids.batch_run_id
    );
    let (turns, attempts) =
        (counted(outcome.turns.into(), "turn"), counted(outcome.attempts.into(), "attempt"));
    let began = time(outcome.started_at);
    let mut lines = vec![
        format!(
            "{state}  {}",
            styled(HEADING, format_args!("{} of {}", ids.scenario_run_id, ids.project_id))
        ),
        wrapped(INDENT, &plain_line(&place)),
        format!("{INDENT}{began}, {}, {turns}, {attempts}", seconds(outcome.duration_ms)),
    ];
    lines.extend(outcome.error.is_none().then(|| wrapped(INDENT, &outcome.reasoning)));
    lines
}

fn error(error: &RunError) -> Vec<String> {
    let by = serde_json::to_value(error.attributed_to).unwrap_or_default();
    let by = by.as_str().unwrap_or_default().replace('_', " ");
    let code = styled(BAD, plain_line(&error.code));
    let mut lines = vec![format!("{INDENT}{code}, put down to: {by}"), wrapped(INDENT, &error.message)];
    lines.extend(error.hint.as_ref().map(|hint| styled(WARN, wrapped(INDENT, hint))));
    lines
}

fn criterion(result: &CriterionResult) -> Vec<String> {
    let (mark, style) = match result.status {
        CriterionStatus::Met => ("✔", GOOD),
        CriterionStatus::Unmet => ("✘", BAD),
        CriterionStatus::Inconclusive => ("?", WARN),
    };
    let by = if result.decided_by == DecidedBy::Check { " (check)" } else { "" };
    let mut lines = vec![
        format!("{INDENT}{} {}{by}", styled(style, mark), plain_line(&result.text)),
        wrapped(DEEPER, &result.reasoning),
    ];
    let quote =
        |quote: &crate::events::Quote| format!("message {}: “{}”", quote.index, plain_line(&quote.quote));
    lines.extend(result.evidence.iter().map(|found| styled(DIM, wrapped(DEEPER, &quote(found)))));
    lines.extend(panel(result).iter().map(|said| styled(DIM, wrapped(DEEPER, said))));
    lines
}

/// What several judges said.
fn panel(result: &CriterionResult) -> Vec<String> {
    let agreed = |Agreement { agreeing, judges }: Agreement| format!("{agreeing} of {judges} judges agree");
    let voted = |vote: &Vote| format!("{}: {:?}: {}", vote.model, vote.status, vote.reasoning);
    result.agreement.map(agreed).into_iter().chain(result.votes.iter().map(voted)).collect()
}

fn conversation(outcome: &RunCompleted) -> Vec<String> {
    match &outcome.messages {
        Some(messages) => messages.iter().flat_map(message).collect(),
        None if outcome.messages_truncated => {
            vec![format!("{INDENT}it was too long for the outcome, and is not kept any more")]
        }
        None => Vec::new(),
    }
}

fn message(message: &TranscriptMessage) -> Vec<String> {
    let speaker = match message.role {
        MessageRole::User => "customer",
        MessageRole::Assistant => "agent",
        MessageRole::Tool => "tool",
    };
    let latency = message.latency_ms.map(|millis| format!(", {}", seconds(millis))).unwrap_or_default();
    let about = styled(DIM, format_args!("{} turn {}{latency}", message.index, message.turn));
    let mut lines = vec![format!("{INDENT}{} {about}", styled(HEADING, speaker))];
    lines.extend((!message.content.is_empty()).then(|| wrapped(DEEPER, &message.content)));
    let told = message.tool_calls.iter().map(|call| tool_call(call, ""));
    let traced = message.trace_tool_calls.iter().map(|call| tool_call(call, " (from its spans)"));
    lines.extend(told.chain(traced));
    lines
}

fn tool_call(call: &ToolCall, source: &str) -> String {
    styled(DIM, wrapped(DEEPER, &format!("→ {}({}){source}", call.name, call.arguments)))
}

fn usage(outcome: &RunCompleted) -> Vec<String> {
    let usage = &outcome.usage;
    let roles = [
        ("customer", usage.user_simulator),
        ("agent", usage.target),
        ("judge", usage.judge),
        ("together", outcome.usage_total),
    ];
    roles.into_iter().map(|(role, usage)| role_usage(role, usage)).collect()
}

fn role_usage(role: &str, usage: TokenUsage) -> String {
    let TokenUsage { input_tokens, output_tokens, calls, cost: paid, unreported, unpriced } = usage;
    let mut said = vec![
        counted(calls, "call"),
        format!("{input_tokens} tokens in"),
        format!("{output_tokens} out"),
        format!("cost {}", cost(paid)),
    ];
    said.extend((unreported > 0).then(|| format!("{unreported} of the calls without tokens")));
    said.extend((unpriced > 0).then(|| format!("{unpriced} without a known price")));
    format!("{INDENT}{role:<9} {}", said.join(", "))
}

fn trace(receipt: &TelemetryReceipt) -> Vec<String> {
    let Some(id) = &receipt.trace_id else { return Vec::new() };
    let TelemetryReceipt { spans, exported, rejected, spooled, undelivered, unconfirmed, .. } = receipt;
    let mut lines = vec![format!("{INDENT}{}: {spans} spans, {exported} accepted", plain_line(id))];
    let others = [
        (rejected, "refused"),
        (spooled, "kept to be sent later"),
        (undelivered, "not delivered"),
        (unconfirmed, "unconfirmed"),
    ];
    let others: Vec<String> = others
        .iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !others.is_empty() {
        lines.push(styled(WARN, format_args!("{INDENT}{}", others.join(", "))));
    }
    lines.extend(receipt.error.as_ref().map(|error| styled(WARN, wrapped(INDENT, error))));
    lines
}

/// What one does with a run that did not pass.
fn next(outcome: &RunCompleted) -> Vec<String> {
    let ids = &outcome.ids;
    let (project, run) = (&ids.project_id, &ids.scenario_run_id);
    let target = format!("{}:{}", outcome.target.kind, outcome.target.reference_id);
    let again = format!(
        "{INDENT}play it again:  scenario-worker schedule --project {project} --scenario {} --target {} --wait",
        quoted(ids.scenario_id.as_str()),
        quoted(&target),
    );
    let judge = format!("{INDENT}judge it again: scenario-worker rejudge --project {project} {run}");
    match outcome.status {
        RunStatus::Success => Vec::new(),
        RunStatus::Failed => vec![judge, again],
        RunStatus::Error | RunStatus::Cancelled => vec![again],
    }
}

/// For a shell, where that needs quotes.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", plain_line(text).replace('\'', r"'\''"))
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn wrapped(indent: &str, text: &str) -> String {
    let options = Options::new(WIDTH).initial_indent(indent).subsequent_indent(indent).break_words(true);
    textwrap::fill(&plain(text), options)
}
