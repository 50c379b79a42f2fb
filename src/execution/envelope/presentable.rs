//! Words that may be shown: no stack frames, no HTML pages, no paths of somebody's machine.
//!
//! Agents answer errors with whatever their framework makes of them, often as JSON. So a line break may also be written
//! as `\n`, and what is taken out leaves the JSON around it as it was.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands for a page of HTML.
const HTML_PAGE: &str = "[HTML page]";
/// What stands for a path.
const PATH: &str = "${before}[path]${after}";
/// How often a text is gone through at most: what is taken out may leave something that shows only then.
const MAX_PASSES: usize = 5;
/// What stands for a stack frame: nothing but what stood before it.
const NOTHING: &str = "${before}";

/// A page up to its closing tag; of one that was cut, everything.
const PAGE: &str = r"(?is)<(?:!doctype\s+html|html)\b.*?</html\s*>|<(?:head|body)\b.*?</body\s*>|<(?:!doctype\s+html|html|head|body)\b.*";

/// A line break, as it is or as JSON writes it.
const BREAK: &str = r"(?:\r?\n|\\+r\\+n|\\+n)";
/// The blanks before a frame.
const INDENT: &str = r"(?:[ \t]|\\+t)*";
/// Where a frame may begin; a line break goes with it.
const START: &str = r#"(?:^|BREAK|(?<before>"|: ))INDENT"#;

/// Stack frames, and the lines around them, each as it follows START.
const FRAMES: [&str; 23] = [
    // Python: the head, a frame with the lines of code below it, the links between several traces.
    r"Traceback \(most recent call last\):",
    r#"File \\*"[^"\n]*?\\*", line \d+(?:, in [^\n"\\]+)?(?:\n {4,}[^\n]*|\\+n {4,}(?:[^"\\\n]|\\(?:\\\\)*["'tu])*)*"#,
    r"(?:During handling of the above exception, another|The above exception was the direct cause of)[^\n\\]*:",
    // JavaScript and Java: `at name (file:1:2)`; JavaScript and Rust: `at file:1:2`; .NET: `at A.B(C) in file:line 1`.
    r#"at [^\n"\\(]*\((?:[^\n")]*?:\d+:\d+|[\w$.-]+\.\w+:\d+|Native Method|Unknown Source|native|<anonymous>|index \d+)\)(?: ~?\[[^\]\n"\\]*\])?"#,
    r#"at (?:async )?[^\s"()]+:\d+:\d+"#,
    r#"at [\w<>$`+]+(?:\.[\w<>$`+\[\],]+)+\([^\n"()]*\)(?: in [^\n"]*?:line \d+)?"#,
    r"\.\.\. \d+ (?:more|common frames omitted)",
    // Rust: numbered frames and the lines around them.
    r#"\d+: +(?:0x[0-9a-f]+ - )?(?:[^\n"\\ ]+::[^\n"\\]+|main\b|_start\b|start_thread\b|clone3?\b|__libc_start\w+|rust_begin_unwind)"#,
    r#"(?:stack backtrace:|note: (?:run with|Some details)[^\n"\\]*backtrace\.?)"#,
    // Go: a frame is two lines.
    r"goroutine \d+ \[[^\]\n]*\]:",
    r#"[^\s"\\][^\n"\\]*BREAK(?:\t|\\+t)[^\s"\\]+\.go:\d+(?: \+0x[0-9a-f]+)?"#,
    // PHP, and Ruby.
    r#"#\d+ (?:\{main\}|[^\n"\\]*(?:\(\d+\)|\[internal function\]): [^\n"\\]*)"#,
    r"Stack trace:",
    r"--- End of (?:inner exception )?stack trace(?: from previous location[^\n\\]*)? ---",
    r#"from [^\n"\\]+:\d+:in [^\n"\\]*"#,
    // Elixir and Erlang, with the application in front or without it.
    r#"\([a-z]\w*(?: [\d.]+[^)\n"]*)?\) [^\s"\\:]+\.\w+:\d+: [^\n"\\]*"#,
    r#"[^\s"\\:]+\.(?:exs?|erl|eex|heex):\d+: [^\n"\\]*"#,
    // Lua, and Dart.
    r"stack traceback:",
    r#"(?:\[C\]|[^\s"\\:]+\.lua:\d+): in [^\n"\\]*"#,
    r#"#\d+ +[^\n"\\]*\((?:package:|dart:|file:)[^\n")]*\)"#,
    // Kotlin between coroutines.
    r"\(Coroutine boundary\)",
    // What Node.js says when it crashes.
    r#"node:internal/[^\n"\\]+"#,
    r#"Require stack:(?:BREAK- [^\n"\\]+)*"#,
];

/// Where a Rust program panicked, and in which thread.
const PANIC: &str = r#"thread '[^'\n]*'(?: \(\d+\))? panicked at [^\s'"\\]+:\d+:\d+:?"#;

/// What may stand before a path. That is never a part of a URL.
const BEFORE: &str = r#"(?<before>^|[\s"'`(\[{<>=,;:|])"#;
/// What a path is made of.
const PART: &str = r#"[^\s"'`()\[\]<>:;,|\\]"#;
/// Where systems keep files, and where containers keep programs.
const ROOTS: &str = "(?:Applications|Library|System|Users|Volumes|app|application|apps|backups?|bin|boot|builds?|certs?|code|conf|config|data|dev|dist|efs|etc|home|lib|lib64|logs?|media|mnt|nix|node|opt|private|proc|project|projects|repo|root|run|rustc|sbin|secrets?|snap|src|srv|storage|sys|tmp|usr|vagrant|var|vendor|volumes?|workspaces?)";
/// The place in a file.
const POSITION: &str = r"(?::\d+(?::\d+)?)?";

/// Paths, each as it follows what may stand before one. What an HTTP method is in front of is a URL's, and kept.
const PATHS: [&str; 9] = [
    r#"(?<before>)\bfile://[^\s"'`)\]<>,\\]+"#,
    r"(?<kept>\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT)\s+/\S*)|BEFORE/ROOTS/PART*[^/]\.\w{1,8}POSITION",
    // With blanks in it, between quotation marks; these may be escaped.
    r#"(?<before>["'`])/ROOTS/[^"'`\n\\<>:]*\.\w{1,8}(?<after>\\*["'`])"#,
    r#"(?<kept>\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT)\s+/\S*)|BEFORE/ROOTS/PART+(?: [^\s"'`()\[\]<>:;,|\\/]+/PART*\.\w{1,8})*POSITION"#,
    // A file somewhere else.
    r"(?<kept>\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT)\s+/\S*)|BEFORE(?:/[\w.@+-]+)+/[\w.@+-]*\.(?:bash|cert|cfg|conf|crt|db|env|ini|jar|jks|key|log|p12|pem|pfx|pid|sh|so|sock|sql|sqlite3?|toml|war|ya?ml)\bPOSITION",
    r"BEFORE~(?:\w+/\.|/)PART*POSITION",
    // Windows. One backslash may be the beginning of `\n` behind a single letter, so what follows it has to tell.
    r#"(?<before>^|[^\w])[A-Za-z]:(?:(?:\\\\)+|\\[^nrtubf\\"\s]|\\[^\\\s"]+\\[^nrtubf\\"\s])(?:(?:[^\\/:*?"<>|\s]+(?: [^\\/:*?"<>|\s]+)*\\+)*[^\\/:*?"<>|\s',;)]+)?(?::(?:line )?\d+(?::\d+)?)?"#,
    // A place in code, and packages.
    r"BEFORE[\w./@+~-]+\.(?:c|cc|cjs|clj|cpp|cs|dart|erl|exs?|fs|go|h|hs|java|js|jsx|kts?|lua|mjs|php|pl|pm|py|rb|rs|scala|swift|ts|tsx|vb):\d+(?::\d+)?",
    r#"BEFORE[^\s"'`()<>:\\]*(?:node_modules|site-packages|dist-packages)/PART*POSITION"#,
];

/// A share of Windows, its backslashes as they are or as JSON writes them, and writes them again: in front there are
/// twice as many as between two names, which tells them from line breaks.
fn shares() -> impl Iterator<Item = String> {
    const NAME: &str = r#"[\w$][^\\/:*?"<>|\s',;)]*"#;
    [1, 2, 4].into_iter().map(|between| {
        let (front, back) = (r"\\".repeat(2 * between), r"\\".repeat(between));
        format!("{BEFORE}{front}{NAME}(?:{back}{NAME})+")
    })
}

/// What is taken out, and what is left in its place.
type Cleaner = (Regex, &'static str);

/// In the order in which they are applied.
static CLEANERS: LazyLock<Vec<Cleaner>> = LazyLock::new(|| {
    let frames = FRAMES.iter().map(|frame| (format!("{START}{frame}"), NOTHING));
    let paths = shares().chain(PATHS.iter().map(|path| (*path).to_owned())).map(|path| (path, PATH));
    let whole = [(PAGE.to_owned(), HTML_PAGE), (PANIC.to_owned(), "panicked:")];
    whole.into_iter().chain(frames).chain(paths).map(|(source, left)| (pattern(&source), left)).collect()
});

#[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles all of them")]
fn pattern(source: &str) -> Regex {
    let parts = [
        ("BREAK", BREAK),
        ("INDENT", INDENT),
        ("BEFORE", BEFORE),
        ("ROOTS", ROOTS),
        ("PART", PART),
        ("POSITION", POSITION),
    ];
    let source = parts.iter().fold(source.to_owned(), |source, (name, part)| source.replace(name, part));
    Regex::new(&source).expect("a constant pattern is valid")
}

/// What of `text` can be shown; none if that tells nothing.
pub(super) fn presentable(text: &str) -> Option<String> {
    let mut shown = cleaned(text);
    for _ in 1..MAX_PASSES {
        let again = cleaned(&shown);
        if again == shown {
            break;
        }
        shown = again;
    }
    let bare = shown.replace(HTML_PAGE, "").replace("[path]", "");
    bare.contains(char::is_alphanumeric).then_some(shown)
}

fn cleaned(text: &str) -> String {
    CLEANERS.iter().fold(text.to_owned(), |shown, (pattern, left)| {
        let replaced = |found: &Captures<'_>| {
            let mut text = String::new();
            match found.name("kept") {
                Some(kept) => text.push_str(kept.as_str()),
                None => found.expand(left, &mut text),
            }
            text
        };
        if pattern.is_match(&shown) { pattern.replace_all(&shown, replaced).trim().to_owned() } else { shown }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Attribution;
    use crate::execution::envelope::{MAX_MESSAGE_BYTES, seal};
    use crate::execution::failure::{RunFailure, code};
    use crate::text::{MAX_WORDS_BYTES, TRUNCATED};

    /// Each text and what is shown of it.
    fn check(table: &[(&str, &str)]) {
        for (text, shown) in table {
            assert_eq!(presentable(text).as_deref(), Some(*shown), "{text}");
        }
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        for text in [
            "The order 4711 was not found.",
            "HTTP 503 Service Unavailable from http://127.0.0.1:8088/usr/chat.php (request-id: r-1): down for <b>maintenance</b>",
            "HTTP 500 Internal Server Error from https://h/v1/app/x.py (request-id: none): {\"error\": {\"code\": \"E1\", \"message\": \"no stock\\nfor 4711\"}}",
            "HTTP 307 Temporary Redirect from http://h/ (request-id: none): ",
            "Cannot POST /api/orders, see https://docs.example/app/index.html#L3 and GET /static/app.js",
            "Sorry,\nat the moment we are closed (until 9:00)\nfrom Monday on we are back: at 10:30, in room 1: main hall",
            "  1: order\n  2: refund\nand/or etc. at 3/4 of the price, C: drive, 10:15:20",
            r#"{"error":"Option A:\nrefund\nOption B:\nvoucher"}"#,
            "Node.js and Vue.js are not supported; use main.py or lib/util.rs",
            "Es tut mir leid, die Bestellung wurde nicht gefunden. 返金します。",
        ] {
            assert_eq!(presentable(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn frames_of_javascript_go_and_the_message_stays() {
        check(&[
            (
                "TypeError: x is not a function\n    at reply (/app/dist/agent.js:12:7)\n    at async Promise.all (index 0)\n    at new Promise (<anonymous>)\n    at file:///app/x.mjs:3:1\n    at node:internal/process/task_queues:95:5",
                "TypeError: x is not a function",
            ),
            (
                r#"{"error":"boom","stack":"Error: boom\n    at f (C:\\app\\x.js:1:2)\n    at g (/app/y.js:3:4)","code":5}"#,
                r#"{"error":"boom","stack":"Error: boom","code":5}"#,
            ),
            (
                r#"{"message":"boom","trace":["at f (/app/x.js:1:2)","at g (y.js:3:4)"]}"#,
                r#"{"message":"boom","trace":["",""]}"#,
            ),
            (
                "node:internal/modules/cjs/loader:1080\n  throw err;\nError: Cannot find module 'express'\nRequire stack:\n- /app/server.js\n- /app/main.js\n    at Module._resolve (node:internal/modules/cjs/loader:1077:15)",
                "throw err;\nError: Cannot find module 'express'",
            ),
        ]);
    }

    #[test]
    fn frames_of_python_go_with_their_lines_of_code() {
        check(&[
            (
                "HTTP 500 Internal Server Error from http://h/chat (request-id: none): Traceback (most recent call last):\n  File \"/srv/agent/main.py\", line 12, in <module>\n    raise ValueError(\"no stock\")\n    ^^^^^^^^^^^^\n  File \"x.py\", line 1\nValueError: no stock",
                "HTTP 500 Internal Server Error from http://h/chat (request-id: none): \nValueError: no stock",
            ),
            (
                r#"{"detail":"Traceback (most recent call last):\n  File \"/a/b.py\", line 3, in f\n    g(\"x\")\nKeyError: 'id'"}"#,
                r#"{"detail":"\nKeyError: 'id'"}"#,
            ),
            (
                "KeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\nRuntimeError: no",
                "KeyError: 1\n\n\nRuntimeError: no",
            ),
        ]);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn frames_of_other_languages_go_too() {
        check(&[
            (
                "java.lang.IllegalStateException: no stock\n\tat com.shop.Agent.reply(Agent.java:42) ~[app.jar:1.0]\n\tat java.base/java.lang.Thread.run(Unknown Source)\nCaused by: java.io.IOException: gone\n\t... 12 more",
                "java.lang.IllegalStateException: no stock\nCaused by: java.io.IOException: gone",
            ),
            (
                "System.Exception: no stock\r\n   at Shop.Agent.Reply(String line) in C:\\src\\Agent.cs:line 12\r\n   at Shop.Program.Main()",
                "System.Exception: no stock",
            ),
            (
                "thread 'main' panicked at src/main.rs:4:5:\nno stock\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/abc/library/std/src/panicking.rs:645:5\n   1: shop::agent::reply\n             at ./src/agent.rs:9:1\n   2: main\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
                "panicked:\nno stock",
            ),
            (
                "panic: no stock\n\ngoroutine 1 [running]:\nmain.reply(0x1, {0x2})\n\t/home/me/agent/main.go:12 +0x1d\nmain.main()\n\t/home/me/agent/main.go:5 +0x2",
                "panic: no stock",
            ),
            (
                "PHP Fatal error: no stock in /var/www/chat.php:3\nStack trace:\n#0 /var/www/chat.php(12): reply('x')\n#1 {main}",
                "PHP Fatal error: no stock in [path]",
            ),
            (
                "app.rb:3:in `reply': no stock (RuntimeError)\n\tfrom /srv/app.rb:9:in `<main>'",
                "[path]:in `reply': no stock (RuntimeError)",
            ),
        ]);
    }

    #[test]
    fn paths_of_a_machine_are_not_shown_and_json_stays_json() {
        check(&[
            (
                r#"{"error":"ENOENT: no such file or directory, open '/app/config.json'"}"#,
                r#"{"error":"ENOENT: no such file or directory, open '[path]'"}"#,
            ),
            (
                r#"{"error":"cannot open C:\\Program Files\\Shop\\db.sqlite, sorry"}"#,
                r#"{"error":"cannot open [path], sorry"}"#,
            ),
            (r"cannot open C:\temp\Shop\db.sqlite or D:\x", "cannot open [path] or [path]"),
            (r#"{"error":"dir C:\\"}"#, r#"{"error":"dir [path]"}"#),
            ("no key in /etc/ssl/private/key.pem:/home/me/.ssh", "no key in [path]:[path]"),
            ("failed in src/agent/main.rs:12:5 (file:///root/x.mjs)", "failed in [path] ([path])"),
            ("broken: ../node_modules/express/lib/router", "broken: [path]"),
        ]);
    }

    #[test]
    fn json_is_still_json_however_deep_its_strings_are_packed() {
        let python = "Traceback (most recent call last):\n  File \"C:\\a b\\x.py\", line 3, in f\n    g(\"x\", '\\')\nKeyError: 1";
        let script = "Error: no\n\tat f (C:\\app\\x.js:1:2)\n\tat g.h(Unknown Source)\r\nin \"/home/me/x\" and \"C:\\x\\\"";
        let rust = "thread 'a' panicked at src/x.rs:1:2:\nno\n   0: a::b\n   1: main\nnote: run with `RUST_BACKTRACE=1` for a backtrace";
        for text in [python, script, rust, "<html lang=\"en\">\n</html>"] {
            let mut body = serde_json::json!({ "error": text, "list": [text], "code": 5 }).to_string();
            for _ in 0..3 {
                let shown = presentable(&body).unwrap();
                let json: serde_json::Value = serde_json::from_str(&shown).expect(&shown);
                assert!(
                    !shown.contains("x.js") && !shown.contains("x.py") && !shown.contains("x.rs"),
                    "{shown}"
                );
                assert!(json.get("packed").is_some() || json["code"] == 5, "{shown}");
                body = serde_json::json!({ "packed": body }).to_string();
            }
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn paths_of_every_sort_are_hidden() {
        for (path, place) in [
            ("/run/secrets/db_password", "no password in §"),
            ("/data/app/keys.json", "cannot read §: gone"),
            ("~/.ssh/id_rsa", "cannot open §"),
            ("~deploy/.ssh/id_rsa", "cannot open §"),
            ("/app/secrets", "ENOENT: no such file, open '§'"),
            (r"\\\\fileserver\\share\\secret.txt", "cannot open §, sorry"),
            ("/srv/app/main.php", "<path>§</path>"),
            ("/var/www/html/x.php", "<pre>§</pre>"),
            ("/opt/app/a b/c.txt", "cannot open §"),
            ("/opt/app/a b/c d/the key.pem", "cannot open '§'"),
            ("file:///srv/x/y.mjs", "<li>§</li>"),
            ("/custom/place/server.key", "no key at §"),
            ("/app/dist/agent.ts:4:2", "in {§}"),
            ("lib/agent/reply.ex:12", "error in (§)"),
            ("C:\\\\Users\\\\me\\\\x.txt", r#"{"error":"no §"}"#),
        ] {
            let (text, shown) = (place.replace('§', path), place.replace('§', "[path]"));
            assert_eq!(presentable(&text).as_deref(), Some(shown.as_str()), "{text}");
            let packed = serde_json::json!({ "error": text, "code": 5 }).to_string();
            let json: serde_json::Value = serde_json::from_str(&presentable(&packed).unwrap()).unwrap();
            assert_eq!(json["error"], shown.as_str(), "{packed}");
        }
    }

    #[test]
    fn frames_of_elixir_lua_dart_and_kotlin_go() {
        check(&[
            (
                "** (RuntimeError) no stock\n    (shop 0.1.0) lib/shop/agent.ex:12: Shop.Agent.reply/1\n    (stdlib 3.17) gen_server.erl:680: :gen_server.try_dispatch/4\n    lib/shop.ex:3: anonymous fn/1 in Shop.run/0",
                "** (RuntimeError) no stock",
            ),
            (
                "no stock\nstack traceback:\n\t[C]: in function 'error'\n\tagent.lua:12: in function 'reply'",
                "no stock",
            ),
            ("Bad state: no stock\n#0      reply (package:shop/agent.dart:12:5)", "Bad state: no stock"),
            (
                "java.lang.IllegalStateException: no stock\n\tat com.shop.AgentKt$main$1.invokeSuspend(Agent.kt:12)\n\tat com.shop.AgentKt.main(Agent.kt)",
                "java.lang.IllegalStateException: no stock",
            ),
        ]);
    }

    /// Words that have slashes, colons and backslashes and are no paths.
    const PROSE: [&str; 22] = [
        "and/or",
        "24/7",
        "km/h",
        "12/05/2026",
        "2026-05-12T10:00:00Z",
        "text/html; charset=utf-8",
        "application/json",
        "he/she",
        "n/a",
        "https://shop.example/data/orders/17?x=1",
        "http://127.0.0.1:8080/app/chat.php",
        "POST /v1/chat/completions",
        "GET /data/orders.json",
        "no route for /v1/chat",
        "1/2 litre",
        "w/o sugar",
        "5 €/month",
        "TCP/IP",
        "a: b: c",
        "input/output error",
        "~5 days",
        "either/or :/",
    ];

    #[test]
    fn ordinary_words_are_not_taken_for_paths() {
        for prose in PROSE {
            for text in [prose.to_owned(), format!("Sorry: {prose}, we are \"{prose}\" ({prose}).")] {
                let text = if prose.contains(' ') { prose.to_owned() } else { text };
                assert_eq!(presentable(&text).as_deref(), Some(text.as_str()));
            }
        }
    }

    /// What texts of errors are made of.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn pieces() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        let odd: Vec<&str> = vec![
            "/run/secrets/x",
            "~/",
            "/opt/a b/c.txt",
            r"\\srv\share",
            "C:\\x",
            "\n",
            "\\n",
            "\"",
            "'",
            "<",
            ">",
            " ",
            ": ",
            "    at f (x.js:1:2)",
            "Traceback (most recent call last):",
            "<html>",
            "</html>",
            "é",
            "file:///a",
            "a.ex:1: b",
            "[path]",
            "GET ",
            "{\"error\":\"",
        ];
        let word = prop::sample::select(odd.into_iter().chain(PROSE).map(str::to_owned).collect::<Vec<_>>());
        prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn what_is_shown_is_shown_as_it_is(text in pieces()) {
            if let Some(shown) = presentable(&text) {
                proptest::prop_assert_eq!(presentable(&shown), Some(shown));
            }
        }

        #[test]
        fn whatever_is_shown_has_a_bound(text in pieces(), often in 0_usize..100) {
            let text = text.repeat(often);
            for (code, most) in [(code::UNCLASSIFIED, MAX_WORDS_BYTES), (code::TARGET_STATUS, MAX_MESSAGE_BYTES)] {
                let failure = RunFailure::new(code, Attribution::Target, text.as_str());
                proptest::prop_assert!(seal(&failure).message.len() <= most + TRUNCATED.len());
            }
        }
    }

    #[test]
    fn a_page_of_html_is_only_mentioned() {
        check(&[
            (
                "HTTP 502 Bad Gateway from http://h/ (request-id: none): <!DOCTYPE html>\n<html><body>nginx at 10.0.0.1</body></html>\n",
                "HTTP 502 Bad Gateway from http://h/ (request-id: none): [HTML page]",
            ),
            (r#"{"error":"<html><body>x</body></html>","code":5}"#, r#"{"error":"[HTML page]","code":5}"#),
            ("It said <HTML lang=en><p>and so on… [truncated]", "It said [HTML page]"),
        ]);
    }

    #[test]
    fn what_is_nothing_but_internals_tells_nothing() {
        for text in ["", " \n", "<html></html>", "    at f (/app/x.js:1:2)", "/home/me/x.py:3", "--"] {
            assert_eq!(presentable(text), None, "{text}");
        }
    }
}
