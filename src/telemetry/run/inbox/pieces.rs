//! What spans tell, call by call, until judge and checks hear of it. Each call has a share of its own, and tools come first.

use std::collections::HashMap;

use super::digest::{Piece, rank};
use super::family::Id;
use crate::execution::types::{TargetWork, WorkKind};

/// The most tools of one call that are kept, and the most other pieces of work: four times as many as are told.
const MAX_OF_CALL: usize = 256;
/// The most bytes of the tools of one run, as JSON: 4 MiB. Other pieces are small.
const MAX_TOOL_BYTES: usize = 4 * 1024 * 1024;

/// The pieces of all calls of a run.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    calls: HashMap<Id, OfCall>,
    tool_bytes: usize,
}

/// The pieces of one call.
#[derive(Debug, Default)]
pub(super) struct OfCall {
    tools: Vec<Piece>,
    others: Vec<Piece>,
    /// Tools that are not kept.
    pub(super) lost_tools: u64,
    /// Other pieces that are not kept.
    pub(super) lost_others: u64,
}

impl OfCall {
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.tools.iter().chain(&self.others)
    }

    /// One that tells more takes the place of one that tells less.
    fn add_other(&mut self, piece: Piece) {
        if self.others.len() < MAX_OF_CALL {
            return self.others.push(piece);
        }
        self.lost_others += 1;
        let least = self.others.iter_mut().max_by_key(|piece| rank(&piece.work));
        if let Some(least) = least.filter(|least| rank(&piece.work) < rank(&least.work)) {
            *least = piece;
        }
    }
}

impl Pieces {
    /// Something stands below `call`.
    pub(super) fn add(&mut self, call: Id, piece: Piece) {
        let of_call = self.calls.entry(call).or_default();
        if piece.work.kind != WorkKind::Tool {
            return of_call.add_other(piece);
        }
        let bytes = size(&piece.work);
        if of_call.tools.len() >= MAX_OF_CALL || self.tool_bytes + bytes > MAX_TOOL_BYTES {
            of_call.lost_tools += 1;
        } else {
            self.tool_bytes += bytes;
            of_call.tools.push(piece);
        }
    }

    /// Something stands below `call` of which no more is known than that.
    pub(super) fn lose(&mut self, call: Id, is_tool: bool) {
        let of_call = self.calls.entry(call).or_default();
        if is_tool {
            of_call.lost_tools += 1;
        } else {
            of_call.lost_others += 1;
        }
    }

    /// What there is of `call`. It is heard once, so that nothing is kept of it.
    pub(super) fn of(&mut self, call: Id) -> OfCall {
        let of_call = self.calls.remove(&call).unwrap_or_default();
        self.tool_bytes -= of_call.tools.iter().map(|piece| size(&piece.work)).sum::<usize>();
        of_call
    }
}

fn size(work: &TargetWork) -> usize {
    serde_json::to_string(work).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u64, kind: WorkKind) -> Piece {
        Piece { id: number.to_be_bytes(), start: number, work: TargetWork { kind, ..TargetWork::default() } }
    }

    #[test]
    fn models_and_tools_are_kept_however_much_else_there_is() {
        let mut pieces = Pieces::default();
        for n in 0..2000 {
            pieces.add([1; 8], piece(n, WorkKind::Other));
        }
        pieces.add([1; 8], piece(3000, WorkKind::Model));
        pieces.add([1; 8], piece(3001, WorkKind::Tool));
        let of_call = pieces.of([1; 8]);
        let kept = |kind| of_call.pieces().filter(|piece| piece.work.kind == kind).count();
        assert_eq!(
            (kept(WorkKind::Tool), kept(WorkKind::Model), kept(WorkKind::Other)),
            (1, 1, MAX_OF_CALL - 1)
        );
        assert_eq!((of_call.lost_tools, of_call.lost_others), (0, 2001 - 256));
    }

    #[test]
    fn tools_that_are_too_many_or_too_large_are_counted_and_room_comes_back() {
        let mut pieces = Pieces::default();
        for n in 0..300 {
            pieces.add([1; 8], piece(n, WorkKind::Tool));
        }
        assert_eq!(pieces.of([1; 8]).lost_tools, 300 - 256);
        let mut large = |n: u64| {
            let mut piece = piece(n, WorkKind::Tool);
            piece.work.result = Some("x".repeat(MAX_TOOL_BYTES / 2));
            pieces.add(n.to_be_bytes(), piece);
            if n == 2 { pieces.of(2_u64.to_be_bytes()).lost_tools } else { 0 }
        };
        assert_eq!((large(1), large(2)), (0, 1));
        pieces.of(1_u64.to_be_bytes());
        pieces.add([3; 8], piece(9, WorkKind::Tool));
        assert_eq!((pieces.of([3; 8]).lost_tools, pieces.tool_bytes), (0, 0));
    }
}
