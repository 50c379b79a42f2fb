//! What a template may cost.
//!
//! The engine's fuel bounds what it counts: instructions and texts. It does not count two things. It reads
//! expressions, and drops, compares and prints nested values, by recursion, and a stack that overflows ends the
//! process and not just the run; so the code of a template is bounded (the text around it is not). And a list
//! that holds another one several times is small, but not when it is printed; so templates cannot make such
//! lists. What they read from a run is no larger than the run.

use minijinja::Environment;
use minijinja::machinery::Token;

/// What one rendering may cost. A unit is an instruction or 64 bytes of text, so this bounds memory to 16 MB too.
const FUEL: u64 = 250_000;
/// The most bytes that one value may print as: what the fuel pays for.
pub(super) const PRINT_LIMIT: usize = 16 * 1024 * 1024;
/// How deep blocks of a template may nest while it renders, in stack frames.
const RECURSION_LIMIT: usize = 100;
/// The most names, numbers, signs and delimiters in a template's expressions and tags. A stack of 2 MB takes twice
/// as many in an unoptimised build.
const MAX_CODE_TOKENS: usize = 1000;
/// The most `+`: each can double a list.
const MAX_PLUS: usize = 6;
/// Functions that nest values, or show what is none of a template's business.
const NO_FUNCTIONS: [&str; 3] = ["namespace", "dict", "debug"];
/// Filters that nest values.
const NO_FILTERS: [&str; 5] = ["zip", "chain", "batch", "slice", "groupby"];

/// Sets what the engine lets be set.
pub(super) fn apply(environment: &mut Environment<'_>) {
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_LIMIT);
    for function in NO_FUNCTIONS {
        environment.remove_global(function);
    }
    for filter in NO_FILTERS {
        environment.remove_filter(filter);
    }
}

/// Reads a template's tokens in order and says why one is too much.
#[derive(Default)]
pub(super) struct CodeReader {
    tokens: usize,
    plus: usize,
    open: Vec<Bracket>,
    after_value: bool,
    in_loop_target: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// Arguments, or the index behind a value.
    BehindValue,
    /// A list or a map.
    Literal,
    /// What belongs together.
    Group,
}

impl CodeReader {
    /// Takes the next token.
    pub(super) fn take(&mut self, token: &Token<'_>) -> Result<(), String> {
        if matches!(token, Token::TemplateData(_)) {
            return Ok(());
        }
        self.tokens += 1;
        if self.tokens > MAX_CODE_TOKENS {
            return Err(format!("it has more code than the {MAX_CODE_TOKENS} tokens that are read"));
        }
        self.plus += usize::from(matches!(token, Token::Plus));
        self.refuse(token).map_or(Ok(()), |reason| Err(reason.to_owned()))?;
        self.follow(token);
        Ok(())
    }

    fn refuse(&self, token: &Token<'_>) -> Option<&'static str> {
        match token {
            Token::Ident("recursive") => Some("a loop cannot be `recursive`"),
            Token::Mul => Some("`*` cannot be used"),
            Token::Plus if self.plus > MAX_PLUS => Some("`+` is used too often; `~` joins texts"),
            _ if self.open.last() == Some(&Bracket::Literal) && !is_constant(token) => {
                Some("a list or a map can only hold constants")
            }
            Token::Comma
                if !self.in_loop_target && matches!(self.open.last(), None | Some(Bracket::Group)) =>
            {
                Some("a `,` can only stand between arguments, constants or the variables of a loop")
            }
            _ => None,
        }
    }

    fn follow(&mut self, token: &Token<'_>) {
        match token {
            Token::BlockStart | Token::VariableStart => self.open.clear(),
            Token::BracketOpen | Token::ParenOpen if self.after_value => self.open.push(Bracket::BehindValue),
            Token::BracketOpen | Token::BraceOpen => self.open.push(Bracket::Literal),
            Token::ParenOpen => self.open.push(Bracket::Group),
            Token::BracketClose | Token::BraceClose | Token::ParenClose => drop(self.open.pop()),
            Token::Ident("for") => self.in_loop_target = true,
            Token::Ident("in") => self.in_loop_target = false,
            _ => {}
        }
        self.after_value = ends_value(token);
    }
}

fn is_constant(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(word) => matches!(*word, "true" | "false" | "none" | "True" | "False" | "None"),
        Token::Int(_) | Token::Int128(_) | Token::Float(_) | Token::Minus | Token::Comma | Token::Colon => {
            true
        }
        other => is_text(other) || matches!(other, Token::BracketClose | Token::BraceClose),
    }
}

fn is_text(token: &Token<'_>) -> bool {
    matches!(token, Token::Str(_) | Token::String(_))
}

/// Whether a bracket behind `token` is an index or arguments.
fn ends_value(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(word) => !matches!(
            *word,
            "in" | "and" | "or" | "not" | "is" | "if" | "elif" | "else" | "for" | "set" | "with" | "filter"
        ),
        Token::BracketClose | Token::BraceClose | Token::ParenClose => true,
        other => is_text(other),
    }
}
