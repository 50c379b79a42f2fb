//! `dead-letters`: what could not be run, to be read, run again or dropped.

use serde::Serialize;

use super::arguments::{ChosenLetters, DeadLetterAction, DeadLetterOptions, Layers};
use super::error::{CliError, Finished, chain};
use super::terminal::{emit, letter as entry, problem, say};
use super::wiring;
use crate::events::{DeadLetter, ProjectId};
use crate::queue::{Letter, LetterError, Letters, Redriven, Room};

/// Name of this client at the broker.
const CLIENT_NAME: &str = "scenario-worker dead-letters";

/// A letter as a JSON line.
#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    #[serde(flatten)]
    letter: Option<&'a DeadLetter>,
    /// Why there is nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

/// What is done with a letter that was chosen.
#[derive(Clone, Copy)]
enum Action {
    Redrive,
    Discard,
}

/// Shows, redrives or discards dead letters.
pub(super) async fn run(layers: &Layers, options: DeadLetterOptions) -> Result<Finished, CliError> {
    let connection = wiring::connect(&layers.settings()?, CLIENT_NAME).await?;
    let letters = Letters::open(&connection).await.map_err(failed)?;
    match options.action {
        DeadLetterAction::List { project, json } => list(&letters, project.as_ref(), json).await,
        DeadLetterAction::Redrive(chosen) => each(&letters, chosen, Action::Redrive).await,
        DeadLetterAction::Discard(chosen) => each(&letters, chosen, Action::Discard).await,
    }
}

async fn list(letters: &Letters, project: Option<&ProjectId>, json: bool) -> Result<Finished, CliError> {
    let (mut chosen, mut found) = (Chosen::All { from: 0 }, 0_usize);
    while let Some(letter) = chosen.next(letters).await.map_err(failed)? {
        if project.is_some() && letter.project().as_ref() != project {
            continue;
        }
        if json {
            emit(&line(&letter))?;
        } else {
            say(entry(&letter));
        }
        found += 1;
    }
    if found == 0 && !json {
        say("there are no dead letters");
    }
    Ok(Finished::Well)
}

fn line(letter: &Letter) -> Line<'_> {
    let (content, unreadable) = (letter.content.as_ref().ok(), letter.content.as_ref().err());
    Line { sequence: letter.sequence, letter: content, unreadable: unreadable.map(String::as_str) }
}

/// The letters that were asked for, one after the other.
enum Chosen {
    All { from: u64 },
    Named(std::vec::IntoIter<u64>),
}

impl Chosen {
    async fn next(&mut self, letters: &Letters) -> Result<Option<Letter>, LetterError> {
        match self {
            Self::All { from } => {
                let letter = letters.next(*from).await?;
                *from = letter.as_ref().map_or(*from, |letter| letter.sequence + 1);
                Ok(letter)
            }
            Self::Named(sequences) => match sequences.next() {
                Some(sequence) => letters.get(sequence).await.map(Some),
                None => Ok(None),
            },
        }
    }
}

/// Goes through the letters that were chosen. One that cannot be dealt with is reported and does not hold the others
/// up; a broker that is away does.
async fn each(letters: &Letters, chosen: ChosenLetters, action: Action) -> Result<Finished, CliError> {
    let mut left = 0_usize;
    let ChosenLetters { all, sequences, json } = chosen;
    let mut chosen = if all { Chosen::All { from: 0 } } else { Chosen::Named(sequences.into_iter()) };
    loop {
        let done = match chosen.next(letters).await {
            Ok(None) => return finish(left),
            Ok(Some(letter)) => act(letters, &letter, action).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(done) => tell(&done, json)?,
            Err(error @ LetterError::Unavailable(_)) => return Err(failed(error)),
            Err(error) => {
                lament(&CliError::refused(&error), json)?;
                left += 1;
            }
        }
    }
}

async fn act(letters: &Letters, letter: &Letter, action: Action) -> Result<Done, LetterError> {
    let sequence = letter.sequence;
    match action {
        Action::Discard => {
            letters.discard(letter).await?;
            Ok(Done { sequence, redriven: None })
        }
        Action::Redrive => {
            let redriven = letters.redrive(letter).await?;
            Ok(Done { sequence, redriven: Some(redriven) })
        }
    }
}

/// What became of a letter.
struct Done {
    sequence: u64,
    /// Absent where it was discarded.
    redriven: Option<Redriven>,
}

/// The same as a JSON line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DoneLine<'a> {
    sequence: u64,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_sequence: Option<u64>,
}

/// Tells of a letter that stays as it was.
fn lament(error: &CliError, json: bool) -> Result<(), CliError> {
    if let (true, Some(line)) = (json, error.for_programs()) {
        emit(&line)?;
    }
    problem(&error.to_string());
    Ok(())
}

fn tell(done: &Done, json: bool) -> Result<(), CliError> {
    let (sequence, redriven) = (done.sequence, done.redriven.as_ref());
    if json {
        emit(&DoneLine {
            sequence,
            action: if redriven.is_some() { "redriven" } else { "discarded" },
            duplicate: redriven.map(|redriven| redriven.duplicate),
            stream: redriven.map(|redriven| redriven.stream.as_str()),
            stream_sequence: redriven.map(|redriven| redriven.sequence),
        })?;
    }
    let became = redriven.map_or_else(|| "is discarded".to_owned(), what_became_of);
    say(format_args!("dead letter {sequence} {became}"));
    Ok(())
}

fn what_became_of(redriven: &Redriven) -> String {
    let was = if redriven.duplicate { "was redriven before" } else { "is redriven" };
    let without = match redriven.headers {
        Room::All => "",
        Room::IdOnly => ", without its headers, for which the message is too large",
        Room::None => ", without headers and without an idempotency key, for which it is too large",
    };
    format!("{was}, as message {} of {}{without}", redriven.sequence, redriven.stream)
}

fn finish(left: usize) -> Result<Finished, CliError> {
    match left {
        0 => Ok(Finished::Well),
        1 => Err(CliError::refused("1 dead letter is left as it was")),
        more => Err(CliError::Refused(format!("{more} dead letters are left as they were"))),
    }
}

fn failed(error: LetterError) -> CliError {
    match error {
        LetterError::Unavailable(error) => CliError::out_of_reach(&error),
        other => CliError::Refused(chain(&other)),
    }
}
