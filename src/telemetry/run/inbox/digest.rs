//! What judge and checks hear of the spans below one call: the work in the order of its beginning, bounded.

use std::collections::HashSet;

use super::family::{Family, Id};
use super::pieces::OfCall;
use crate::execution::types::{Heard, TargetWork, WorkKind};

/// The most pieces of work of one reply: more than a judge takes in.
const MAX_PIECES: usize = 64;
/// About the most bytes of them, as JSON: the checkpoint of the run has them, and what the judge reads.
const MAX_BYTES: usize = 24 * 1024;

/// What a span that came tells.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) id: Id,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) work: TargetWork,
}

/// What was done for a call. Where room is short tools come first, then what failed, then models; a digest that leaves a
/// tool out is not settled, for nobody could say then which were called.
pub(super) fn digest(of_call: &OfCall, family: &Family, settled: bool) -> Heard {
    let mut below: Vec<&Piece> = of_call.pieces().collect();
    below.sort_by_key(|piece| (piece.start, piece.id));
    let told_twice = told_twice(&below, family);
    below.retain(|piece| !told_twice.contains(&piece.id));
    let kept = fitting(&below);
    let (told, left_out): (Vec<&Piece>, Vec<&Piece>) =
        below.into_iter().partition(|piece| kept.contains(&piece.id));
    let tools = left_out.iter().filter(|piece| piece.work.kind == WorkKind::Tool).count() as u64;
    let tools_left_out = tools + of_call.lost_tools;
    Heard {
        settled: settled && tools_left_out == 0,
        work: told.into_iter().map(|piece| piece.work.clone()).collect(),
        left_out: left_out.len() as u64 + of_call.lost_tools + of_call.lost_others,
        tools_left_out,
    }
}

/// Calls of tools of which two libraries tell: the inner span is of the same tool, and of the same call as far as they say.
fn told_twice(below: &[&Piece], family: &Family) -> HashSet<Id> {
    let tools: Vec<&&Piece> = below.iter().filter(|piece| piece.work.kind == WorkKind::Tool).collect();
    let outer = |piece: &Piece| {
        let mut ancestors =
            std::iter::successors(family.parent(piece.id), |id| family.parent(*id)).take(tools.len() + 1);
        ancestors.find_map(|id| tools.iter().find(|tool| tool.id == id))
    };
    let is_inner = |piece: &&&&Piece| {
        outer(piece)
            .is_some_and(|outer| outer.work.name == piece.work.name && may_be_same(&outer.work, &piece.work))
    };
    tools.iter().filter(is_inner).map(|piece| piece.id).collect()
}

fn may_be_same(one: &TargetWork, other: &TargetWork) -> bool {
    one.call_id.is_none() || other.call_id.is_none() || one.call_id == other.call_id
}

fn fitting(below: &[&Piece]) -> HashSet<Id> {
    let mut by_rank: Vec<&&Piece> = below.iter().collect();
    by_rank.sort_by_key(|piece| rank(&piece.work));
    let sized = by_rank.into_iter().scan(0, |used, piece| {
        *used += serde_json::to_string(&piece.work).map_or(0, |text| text.len());
        Some((*used, piece.id))
    });
    sized.take(MAX_PIECES).take_while(|(used, _)| *used <= MAX_BYTES).map(|(_, id)| id).collect()
}

pub(super) fn rank(work: &TargetWork) -> u8 {
    match work.kind {
        WorkKind::Tool => 0,
        _ if work.error.is_some() => 1,
        WorkKind::Model => 2,
        WorkKind::Agent => 3,
        WorkKind::Other => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::Origin;
    use super::super::pieces::Pieces;
    use super::*;

    fn piece(number: u8, kind: WorkKind, name: &str) -> Piece {
        let work = TargetWork { kind, name: name.into(), ..TargetWork::default() };
        Piece { id: [number; 8], start: number.into(), work }
    }

    fn family(parents: &[(u8, u8)]) -> Family {
        let mut family = Family::default();
        for (id, parent) in parents {
            family.add([*id; 8], [*parent; 8], Origin::Call([255; 8]));
        }
        family
    }

    fn of_call(pieces: impl IntoIterator<Item = Piece>) -> OfCall {
        let mut all = Pieces::default();
        pieces.into_iter().for_each(|piece| all.add([255; 8], piece));
        all.of([255; 8])
    }

    fn names(heard: &Heard) -> Vec<&str> {
        heard.work.iter().map(|work| work.name.as_str()).collect()
    }

    #[test]
    fn work_is_told_in_the_order_of_its_beginning() {
        let pieces = [piece(3, WorkKind::Tool, "late"), piece(1, WorkKind::Model, "early")];
        let heard = digest(&of_call(pieces), &family(&[(1, 255), (3, 1)]), true);
        assert_eq!((names(&heard), heard.settled, heard.left_out), (vec!["early", "late"], true, 0));
    }

    #[test]
    fn a_tool_call_that_two_libraries_tell_of_is_one() {
        let mut pieces = [1, 2, 3, 4].map(|n| piece(n, WorkKind::Tool, "find"));
        pieces[2].work.call_id = Some("a".into());
        pieces[3].work.call_id = Some("b".into());
        // 2 is within 1; 4 is within 3, but says that it is another call.
        let heard = digest(&of_call(pieces), &family(&[(1, 255), (2, 1), (3, 255), (4, 3)]), true);
        assert_eq!(heard.work.len(), 3);
    }

    #[test]
    fn what_is_too_much_is_left_out_from_the_least_telling_on() {
        let pieces = |kind| (1..=100).map(move |n| piece(n, kind, "step"));
        let parents: Vec<(u8, u8)> = (1..=100).map(|n| (n, 255)).collect();
        let mut others: Vec<Piece> = pieces(WorkKind::Other).collect();
        others[90] = piece(91, WorkKind::Tool, "find");
        let heard = digest(&of_call(others), &family(&parents), true);
        assert_eq!((heard.work.len(), heard.left_out, heard.settled), (MAX_PIECES, 36, true));
        assert!(names(&heard).contains(&"find") && heard.tools_left_out == 0);
        let wordy = |mut piece: Piece| {
            piece.work.result = Some("x".repeat(1000));
            piece
        };
        let tools = pieces(WorkKind::Tool).map(wordy);
        let heard = digest(&of_call(tools), &family(&parents), true);
        assert!(heard.work.len() < MAX_PIECES && !heard.settled, "{}", heard.work.len());
        assert_eq!(heard.tools_left_out, 100 - heard.work.len() as u64);
    }
}
