//! What happened to a run, in order of time, for whoever has to find out why.

use std::fmt::Write as _;

use super::checker::Violation;
use super::history::{CallEnd, Death, History, Moment};

/// Every fault, and everything about the runs of `violations`. Times are in seconds since the first request.
pub(crate) fn of(history: &History, violations: &[Violation]) -> String {
    let mut lines: Vec<(Moment, String)> = Vec::new();
    let start = history.accepted.iter().map(|request| request.at).min().unwrap_or_default();
    let since = |at: Moment| at.as_secs_f64() - start.as_secs_f64();
    for fault in &history.faults {
        let who = fault.worker.map_or("everybody".to_owned(), |worker| format!("worker {worker}"));
        lines.push((fault.from, format!("{:?} of {who} until {:.3}", fault.kind, since(fault.until))));
    }
    let bad = |run: &str| violations.iter().any(|violation| violation.run.as_deref() == Some(run));
    for (what, list) in [("requested", &history.accepted), ("cancelled", &history.cancels)] {
        let ours = list.iter().filter(|accepted| bad(&accepted.run));
        lines.extend(ours.map(|accepted| (accepted.at, format!("{}: {what}", accepted.run))));
    }
    for call in history.calls.iter().filter(|call| bad(&call.run)) {
        let end = match call.end {
            CallEnd::Open => "open for ever".to_owned(),
            CallEnd::Answered(at) => format!("answered at {:.3}", since(at)),
            CallEnd::Abandoned(at) => format!("abandoned at {:.3}", since(at)),
        };
        let read = call.read.map_or("not read".to_owned(), |at| format!("read at {:.3}", since(at)));
        let (run, worker, step) = (&call.run, call.worker, call.step);
        lines.push((call.from, format!("{run}: worker {worker} calls for {step}, {end}, {read}")));
    }
    for life in history.lives.iter().filter(|life| !matches!(life.end, None | Some((_, Death::Told)))) {
        lines.push((life.from, format!("worker {} begins and ends as {:?}", life.worker, life.end)));
    }
    for event in history.events.iter().filter(|event| bad(&event.run)) {
        let (index, attempts) = (&event.payload["index"], &event.payload["attempts"]);
        lines.push((event.at, format!("{}: {:?} {index} {attempts} is stored", event.run, event.kind)));
    }
    lines.sort();
    lines.iter().fold(String::new(), |mut text, (at, line)| {
        writeln!(text, "{:>8.3} {line}", since(*at)).unwrap();
        text
    })
}
