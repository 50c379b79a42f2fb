//! Rules of what the agent said: which of its replies are looked at, and what that comes to.

use super::reply::{Probe, Seen, probes};
use super::{Finding, Observed, Standing};
use crate::definitions::{On, ReplyRule};
use crate::events::Quote;
use crate::execution::types::{MAX_QUOTE_BYTES, Message};

/// Nothing can be shown of an agent that was never heard, not even that it says nothing forbidden.
const SILENCE: &str = "The agent has said nothing.";

pub(super) fn examine(rule: &ReplyRule, observed: &Observed<'_>) -> Finding {
    let probes = match probes(&rule.test) {
        Ok(probes) => probes,
        Err(invalid) => return invalid,
    };
    let replies: Vec<Reply<'_>> =
        observed.replies().map(|(index, message)| Reply { index, message }).collect();
    let findings = probes.iter().map(|probe| looked_at(probe, rule.on(), &replies)).collect();
    together(findings)
}

/// Several texts are as many rules: what does not hold is told, or else everything.
fn together(findings: Vec<Finding>) -> Finding {
    let standing = findings.iter().map(|finding| finding.standing).max().unwrap_or(Standing::Holds);
    let telling = findings.into_iter().filter(|finding| finding.standing == standing);
    telling.fold(Finding::new(standing, ""), |mut all, finding| {
        if !all.reasoning.is_empty() && all.reasoning != finding.reasoning {
            all.reasoning.push(' ');
        }
        if all.reasoning != finding.reasoning {
            all.reasoning.push_str(&finding.reasoning);
        }
        all.evidence.extend(finding.evidence);
        all
    })
}

#[derive(Clone, Copy)]
struct Reply<'a> {
    index: usize,
    message: &'a Message,
}

fn looked_at(probe: &Probe<'_>, on: On, replies: &[Reply<'_>]) -> Finding {
    let (Some(first), Some(last)) = (replies.first(), replies.last()) else {
        return Finding::new(Standing::Open, SILENCE);
    };
    match on {
        On::First => one(probe, *first, Standing::Broken),
        On::Last => one(probe, *last, Standing::Open),
        On::Any => any(probe, replies, *last),
        On::Every => every(probe, replies, *last),
    }
}

/// What one reply shows; `otherwise` is how the check stands if that is not what was asked for.
fn one(probe: &Probe<'_>, reply: Reply<'_>, otherwise: Standing) -> Finding {
    let Seen { holds, says, passage } = probe.look(&reply.message.content);
    let standing = if holds { Standing::Holds } else { otherwise };
    let evidence = passage.into_iter().filter_map(|passage| quote(reply.index, passage)).collect();
    Finding { standing, reasoning: format!("Message {} {says}.", reply.index), evidence }
}

fn any(probe: &Probe<'_>, replies: &[Reply<'_>], last: Reply<'_>) -> Finding {
    let found = replies.iter().map(|reply| one(probe, *reply, Standing::Open));
    let mut found = found.filter(|finding| finding.standing == Standing::Holds);
    found.next().unwrap_or_else(|| {
        let finding = one(probe, last, Standing::Open);
        among(finding, "None of the", replies.len(), "is what is asked for; the last:")
    })
}

fn every(probe: &Probe<'_>, replies: &[Reply<'_>], last: Reply<'_>) -> Finding {
    let found = replies.iter().map(|reply| one(probe, *reply, Standing::Broken));
    let mut broken = found.filter(|finding| finding.standing == Standing::Broken);
    broken.next().unwrap_or_else(|| {
        let finding = one(probe, last, Standing::Broken);
        among(finding, "Each of the", replies.len(), "is what is asked for; the last:")
    })
}

/// With one reply there is nothing to say of the others.
fn among(finding: Finding, which: &str, replies: usize, what: &str) -> Finding {
    if replies == 1 {
        return finding;
    }
    let reasoning = format!("{which} {replies} replies {what} {}", finding.reasoning);
    Finding { reasoning, ..finding }
}

/// The words themselves, so that they can be found again; cut without a mark for the same reason.
fn quote(index: usize, passage: &str) -> Option<Quote> {
    let passage = &passage[..passage.floor_char_boundary(MAX_QUOTE_BYTES)];
    let index = index.try_into().ok()?;
    (!passage.trim().is_empty()).then(|| Quote { index, quote: passage.to_owned() })
}
