//! The run plane cannot reach what belongs to the thread or the process.
//!
//! Clippy's `disallowed-methods` and `disallowed-types` see through every alias, but not into macros, and can be silenced. So
//! the tokens of every source file are read, too: whatever a path is renamed to, the name that is closed has to be
//! written down somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// The one place that may reach them.
const WORKER_PLANE: &str = "src/telemetry/worker/";
/// The one other file that may silence the lints: it makes the HTTP clients of the whole program.
const HTTP_CLIENTS: &str = "src/http_client.rs";
/// Where the crates of OpenTelemetry may be named at all.
const TELEMETRY: &str = "src/telemetry/";

/// Crates of the worker plane alone.
const WORKER_CRATES: [&str; 4] =
    ["tracing_opentelemetry", "opentelemetry_otlp", "tracing_subscriber", "opentelemetry_http"];
/// Crates of both planes.
const TELEMETRY_CRATES: [&str; 3] = ["opentelemetry", "opentelemetry_sdk", "opentelemetry_proto"];
/// Names that mean nothing but the thread's context, the worker's spans, or what silences the lints.
const CLOSED: [&str; 21] = [
    "attach",
    "map_current",
    "current_with_value",
    "current_with_span",
    "with_current_context",
    "enter_telemetry_suppressed_scope",
    "is_current_telemetry_suppressed",
    "in_span",
    "in_span_with_context",
    "in_span_with_builder",
    "in_span_with_builder_and_context",
    "mark_span_as_active",
    "get_active_span",
    "tracer_provider",
    "set_tracer_provider",
    "set_meter_provider",
    "get_text_map_propagator",
    "set_text_map_propagator",
    "OpenTelemetrySpanExt",
    "disallowed_methods",
    "disallowed_types",
];
/// Names that mean something else elsewhere: closed where they are part of a path.
const CLOSED_IN_PATHS: [&str; 2] = ["global", "current"];
/// What reads a file that this test does not.
const INCLUDES: &str = "include";

/// A token, as far as the rules go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Other(String),
}

/// Every token of `source`, those within brackets and macros included. Comments and literals are none.
fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    flatten(source.parse().expect("the file is Rust"), &mut found);
    found
}

fn flatten(stream: TokenStream, found: &mut Vec<Token>) {
    for tree in stream {
        match tree {
            TokenTree::Ident(name) => {
                let name = name.to_string();
                found.push(Token::Name(name.strip_prefix("r#").unwrap_or(&name).to_owned()));
            }
            TokenTree::Punct(mark) => found.push(Token::Other(mark.to_string())),
            TokenTree::Literal(_) => found.push(Token::Other("literal".to_owned())),
            TokenTree::Group(group) => {
                found.push(Token::Other("open".to_owned()));
                flatten(group.stream(), found);
                found.push(Token::Other("close".to_owned()));
            }
        }
    }
}

fn is_colon(token: Option<&Token>) -> bool {
    token == Some(&Token::Other(":".to_owned()))
}

/// Whether the name at `at` comes after `::` or before it, or stands in the braces of a `use`.
fn is_in_path(tokens: &[Token], at: usize) -> bool {
    let before = at >= 2 && is_colon(tokens.get(at - 1)) && is_colon(tokens.get(at - 2));
    let behind = is_colon(tokens.get(at + 1)) && is_colon(tokens.get(at + 2));
    before || behind || is_in_use(&tokens[..at])
}

/// Whether a `use` has begun and not ended.
fn is_in_use(before: &[Token]) -> bool {
    let (begins, ends) = (Token::Name("use".to_owned()), Token::Other(";".to_owned()));
    before.iter().rev().find(|token| [&begins, &ends].contains(token)) == Some(&begins)
}

/// Whether a file hands a crate of OpenTelemetry on to files that must not name it.
fn hands_on(tokens: &[Token]) -> bool {
    let uses = tokens.iter().enumerate().filter(|(_, token)| **token == Token::Name("use".into()));
    uses.filter(|(at, _)| is_public(&tokens[..*at])).any(|(at, _)| {
        let path = tokens[at..].iter().take_while(|token| **token != Token::Other(";".into()));
        path.into_iter().any(|token| is_one_of(token, &TELEMETRY_CRATES))
    })
}

/// Whether what stands last makes the next item public: `pub` or `pub(…)`.
fn is_public(before: &[Token]) -> bool {
    let public = Token::Name("pub".to_owned());
    match before.last() {
        Some(Token::Other(mark)) if mark == "close" => {
            let open = before.iter().rposition(|token| *token == Token::Other("open".into()));
            open.and_then(|open| before[..open].last()) == Some(&public)
        }
        last => last == Some(&public),
    }
}

fn is_one_of(token: &Token, names: &[&str]) -> bool {
    matches!(token, Token::Name(name) if names.contains(&name.as_str()))
}

/// What `source` reaches that it must not, as names.
fn trespasses(file: &str, source: &str) -> BTreeSet<String> {
    if file.starts_with(WORKER_PLANE) {
        return BTreeSet::new();
    }
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Name(name) = token else { continue };
        if is_closed(file, &tokens, at, name) {
            found.insert(name.clone());
        }
    }
    if hands_on(&tokens) {
        found.insert("pub use".to_owned());
    }
    found
}

fn is_closed(file: &str, tokens: &[Token], at: usize, name: &str) -> bool {
    let in_telemetry = file.starts_with(TELEMETRY);
    let silences = file == HTTP_CLIENTS && name.starts_with("disallowed_");
    WORKER_CRATES.contains(&name)
        || (TELEMETRY_CRATES.contains(&name) && !in_telemetry)
        || (CLOSED.contains(&name) && !silences)
        || (CLOSED_IN_PATHS.contains(&name) && (in_telemetry || is_in_path(tokens, at)))
        || name == INCLUDES
}

/// Every source file below `folder`, named from the root of the project.
fn sources(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn only_the_worker_plane_reaches_globals_and_the_context_of_the_thread() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(root, &root.join("src"), &mut files);
    assert!(files.iter().any(|(name, _)| name.starts_with(WORKER_PLANE)), "the worker plane has moved");
    assert!(files.iter().any(|(name, _)| name == "src/telemetry/run/recorder.rs"), "the run plane has moved");
    for (name, source) in &files {
        let found = trespasses(name, source);
        assert!(found.is_empty(), "{name} reaches {found:?}, which only {WORKER_PLANE} may");
    }
}

#[test]
fn no_alias_macro_or_raw_name_hides_what_is_closed() {
    let in_run = "src/telemetry/run/anything.rs";
    for (hidden, name) in [
        ("use opentelemetry::global as g; fn f() { g::tracer(\"x\"); }", "global"),
        ("use opentelemetry as o; fn f() { o::global::tracer(\"x\"); }", "global"),
        ("use opentelemetry::{trace, global}; ", "global"),
        ("use opentelemetry::{self as o, r#global as g};", "global"),
        ("use opentelemetry::Context as C; fn f() { let c = C::current(); }", "current"),
        ("fn f() { let now = <opentelemetry::Context>::current; now(); }", "current"),
        ("macro_rules! m { () => { opentelemetry::Context::new().attach() } }", "attach"),
        ("use tracing_opentelemetry as t;", "tracing_opentelemetry"),
        ("extern crate tracing_opentelemetry as t;", "tracing_opentelemetry"),
        ("#[allow(clippy::disallowed_methods)] fn f() {}", "disallowed_methods"),
        ("include!(\"elsewhere.rs\");", "include"),
        ("pub(crate) use opentelemetry::Context;", "pub use"),
        ("pub use ::opentelemetry as otel;", "pub use"),
    ] {
        assert!(trespasses(in_run, hidden).contains(name), "{hidden}");
        assert!(trespasses("src/telemetry/worker/x.rs", hidden).is_empty(), "{hidden}");
    }
    let elsewhere = "src/adapters/anything.rs";
    for (hidden, name) in [
        ("use opentelemetry::trace::Tracer;", "opentelemetry"),
        ("fn f() { handed_on::global::tracer(\"x\"); }", "global"),
        ("fn f() { HandedOn::current(); }", "current"),
    ] {
        assert!(trespasses(elsewhere, hidden).contains(name), "{hidden}");
    }
}

#[test]
fn words_that_only_look_like_it_are_no_trespass() {
    let harmless = "//! opentelemetry::global::tracer and Context::current\n/* attach /* global */ */\n\
                    #[arg(long, global = true)]\nfn f(current: u32) -> &'static str { let global = current; r#\"global::x\"# }";
    assert!(
        trespasses("src/cli/anything.rs", harmless).is_empty(),
        "{:?}",
        trespasses("src/cli/x.rs", harmless)
    );
    let telemetry = "use opentelemetry::Context; fn f() { let _ = Context::new(); }";
    assert!(trespasses("src/telemetry/run/anything.rs", telemetry).is_empty());
}

#[test]
fn clippy_closes_the_same_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml");
    let clippy = std::fs::read_to_string(path).unwrap();
    for name in CLOSED.iter().filter(|name| !name.starts_with("disallowed_")) {
        // Of a trait each method is listed.
        let is_listed = clippy.contains(&format!("::{name}\"")) || clippy.contains(&format!("::{name}::"));
        assert!(is_listed, "{name} is not in clippy.toml");
    }
    for name in ["Context::current\"", "global::tracer\"", "global::meter\"", "ContextGuard\""] {
        assert!(clippy.contains(name), "{name} is not in clippy.toml");
    }
}
