//! Many runs in one command: a matrix, a key, a batch, and what is left of them when something goes wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::strangers::offline;
use crate::support::nats::NatsServer;
use crate::support::pty::on_terminal;
use crate::support::shop::Shop;
use crate::support::worker::{Place, json_lines, text, until_said, within};

/// The scenario that the agent does not pass, and the parameter that tells runs apart.
const MORE: &str = r#"
  - { id: returns, name: Returns, situation: A mug is too small., criteria: ["The agent gives a voucher"], maxTurns: 1,
      parameters: [{ name: region }] }
"#;
const BASE: [&str; 5] = ["schedule", "--project", "acme", "--target", "http:shop"];
/// More runs than are scheduled in the moment that a test needs to notice the first one.
const MANY: usize = 1500;

pub(super) fn two_scenarios(agent: &str) -> String {
    let judging = r#"replies: ["my mug broke"], verdicts: [{ criterion: voucher, metIf: voucher }, { criterion: apologises, metIf: sorry }]"#;
    let definitions = offline(agent).replace(r#"replies: ["my mug broke"]"#, judging);
    let open = definitions.replace("maxTurns: 2", "maxTurns: 2, parameters: [{ name: region }]");
    open.trim_end().to_owned() + MORE
}

fn schedule<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&BASE, more].concat()
}

fn runs(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["scheduled"] == true).map(|line| &line["scenarioRunId"]).collect()
}

#[tokio::test]
async fn a_matrix_plays_every_combination_and_sums_up_each() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&two_scenarios(shop.url())).await;
    let _worker = place.serve().await;
    let matrix =
        ["--matrix", "scenario=refund,returns", "--matrix", "region=eu,us", "--repeat", "2", "--key", "k"];
    let output = place.run(&schedule(&[&matrix[..], &["--wait"]].concat())).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["[8/8]", "2/2 100%", "0/2 0%", "2 × ✘ The agent gives a voucher", "region=us scenario=returns"]
    {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(output.stdout.is_empty() && !said.contains('\r'), "no progress line where there is no terminal");
    let asked = shop.questions().len();
    let again = place.run(&schedule(&[&matrix[..], &["--wait", "--json"]].concat())).await;
    let lines = json_lines(&again.stdout);
    assert_eq!((again.status.code(), lines.len()), (Some(1), 16), "receipts, then outcomes");
    assert!(lines[..8].iter().all(|receipt| receipt["duplicate"] == true), "{lines:?}");
    assert_eq!(lines[0]["cell"], json!({ "region": "eu", "scenario": "refund" }));
    assert_eq!(lines[0]["jobId"].as_str().unwrap().split('@').next(), Some("acme:k"));
    let passed = lines[8..].iter().filter(|outcome| outcome["success"] == true).count();
    assert_eq!(
        (passed, shop.questions().len()),
        (4, asked),
        "the same command with the same key plays nothing twice"
    );
}

#[tokio::test]
async fn a_matrix_with_one_wrong_cell_schedules_nothing_and_says_which_was_meant() {
    let place = Place::new();
    let secret = two_scenarios("http://127.0.0.1:9/").replace(
        "maxTurns: 1,\n      parameters: [",
        "maxTurns: 1,\n      parameters: [{ name: token, secret: true }, ",
    );
    place.import(&secret).await;
    let _worker = place.serve().await;
    let wrong = ["--matrix", "scenario=refund,refnud", "--matrix", "region=eu"];
    let output = place.run(&schedule(&[&wrong[..], &["--json"]].concat())).await;
    let lines = json_lines(&output.stdout);
    assert_eq!((output.status.code(), lines.len()), (Some(2), 1), "{}", text(&output.stderr));
    assert_eq!(lines[0]["error"]["code"], "scenario_not_found");
    assert_eq!(lines[0]["error"]["hint"], "did you mean 'refund'? there is: refund, returns");
    assert_eq!(lines[0]["cell"]["scenario"], "refnud");
    let said = text(&place.run(&schedule(&wrong)).await.stderr);
    assert!(said.contains("1 of 2 combinations cannot be played, so nothing is scheduled"), "{said}");
    let shown = place.run(&schedule(&["--scenario", "returns", "--matrix", "token=a,b", "--json"])).await;
    assert_eq!(shown.status.code(), Some(2));
    assert!(text(&shown.stderr).contains("'token' of returns is a secret"), "{}", text(&shown.stderr));
    let jetstream = async_nats::jetstream::new(place.nats.client().await);
    let stream = jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert_eq!(stream.cached_info().state.last_sequence, 0, "nothing was ever published");
}

#[tokio::test]
async fn scheduling_that_was_broken_off_goes_on_with_the_same_key_and_doubles_nothing() {
    let mut server = NatsServer::start();
    let place = Place::on(server.account(0));
    place.import(&offline("http://127.0.0.1:9/")).await;
    place.serve().await.kill().await;
    let many = MANY.to_string();
    let command = schedule(&["--scenario", "refund", "--repeat", &many, "--key", "night", "--json"]);
    let mut first = place.command(&command).spawn().unwrap();
    let mut receipts = tokio::io::BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut receipts, &mut line).await.unwrap();
    server.down();
    let reading = tokio::spawn(async move {
        let mut rest = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut receipts, &mut rest).await.unwrap();
        rest
    });
    let status = tokio::time::timeout(Duration::from_mins(2), first.wait()).await.unwrap().unwrap();
    let rest = reading.await.unwrap();
    let error: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!((status.code(), &error["error"]["code"]), (Some(3), &json!("out_of_reach")), "{error}");
    let hint = error["error"]["hint"].as_str().unwrap();
    assert!(hint.contains(&format!("of {MANY} runs are scheduled (batch scenariobatch_")), "{hint}");
    assert!(hint.contains("--key night schedules the rest"), "{hint}");
    server.up();
    let address = place.nats.url.rsplit('@').next().unwrap().to_owned();
    within(async || tokio::net::TcpStream::connect(&address).await.is_ok()).await;
    let second = place.run(&command).await;
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    let lines = json_lines(&second.stdout);
    assert_eq!(lines[0]["scenarioRunId"], serde_json::from_str::<Value>(&line).unwrap()["scenarioRunId"]);
    assert_eq!(runs(&lines).len(), MANY);
    let jetstream = async_nats::jetstream::new(place.nats.client().await);
    let stream = jetstream.get_stream("SCENARIO_REQUESTS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, MANY as u64, "each run is there once");
}

#[tokio::test]
async fn a_batch_of_a_known_size_is_watched_to_its_end() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&two_scenarios(shop.url())).await;
    let _worker = place.serve().await;
    let region = ["--param", "region=eu"];
    let both = ["--matrix", "scenario=refund,returns", "--batch", "nightly"];
    assert_eq!(place.run(&schedule(&[&region[..], &both].concat())).await.status.code(), Some(0));
    let watched = place.run(&["watch", "--project", "acme", "--batch", "nightly", "--size", "2"]).await;
    let said = text(&watched.stderr);
    assert_eq!(watched.status.code(), Some(1), "{said}");
    for part in [
        "my mug broke",
        "✘ The agent gives a voucher:",
        "returns http:shop",
        "2 of 2 done · 1 passed · 1 failed",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let json = place.run(&["watch", "--batch", "nightly", "--size", "2", "--json"]).await;
    let kinds = json_lines(&json.stdout).iter().filter(|event| event["kind"] == "completed").count();
    assert_eq!((json.status.code(), kinds), (Some(1), 2));
    let mut other = place.command(&["watch", "--project", "other", "--batch", "nightly"]).spawn().unwrap();
    let _rest = until_said(&mut other, "no event of batch nightly yet").await;
    let mut nobody = place.command(&["watch", "--run", "nope"]).spawn().unwrap();
    let _rest = until_said(&mut nobody, "no event of run nope yet; it is waited for").await;
}

#[tokio::test]
async fn a_run_is_shown_as_a_tree() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    place.run(&schedule(&["--scenario", "refund", "--run-id", "mine", "--wait"])).await;
    let shown = text(&place.run(&["watch", "--run", "mine", "--tree"]).await.stderr);
    for part in
        ["run mine", "├─ turn 1", "│  ├─ customer: my mug broke", "│  └─ ✔ The agent apologises", "└─ trace "]
    {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
}

#[tokio::test]
async fn on_a_terminal_one_line_says_how_far_the_runs_are() {
    const COLUMNS: u16 = 60;
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    place.import(&two_scenarios(shop.url())).await;
    let _worker = place.serve().await;
    let matrix = ["--matrix", "scenario=refund,returns", "--matrix", "region=eu,us", "--wait"];
    let mut command = place.command(&schedule(&matrix));
    command.env("TERM", "xterm-256color");
    let (status, shown) = on_terminal(command, COLUMNS).await;
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("\r\u{1b}[2K") && shown.contains("of 4 done"), "{shown:?}");
    assert!(shown.contains("\u{1b}[31m"), "colours on a terminal: {shown:?}");
    let table = shown.rsplit("runs of").next().unwrap();
    let bare = table.replace("\u{1b}[31m", "").replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
    let widest = bare.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
    assert!(widest <= usize::from(COLUMNS), "{widest} columns in\n{bare}");

    let mut plain = place.command(&schedule(&matrix));
    plain.env("TERM", "dumb").env("NO_COLOR", "1");
    let (_, shown) = on_terminal(plain, COLUMNS).await;
    assert!(shown.contains("[4/4]") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[tokio::test]
async fn whoever_leaves_a_batch_is_told_how_to_come_back() {
    let shop = Shop::closed().await;
    let place = Place::new();
    place.import(&offline(shop.url())).await;
    let _worker = place.serve().await;
    let mut waiting =
        place.command(&schedule(&["--scenario", "refund", "--repeat", "2", "--wait"])).spawn().unwrap();
    within(async || !shop.questions().is_empty()).await;
    crate::support::worker::signal(&waiting, "INT");
    let mut rest = until_said(&mut waiting, "the runs go on; follow them with: scenario-worker watch").await;
    assert_eq!(rest.next_line().await.unwrap(), None);
    assert_eq!(waiting.wait().await.unwrap().code(), Some(130));
}
