//! `config check`, errors for programs, and everything that the command line says of itself.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::strangers::offline;
use crate::support::nats::NatsServer;
use crate::support::worker::{Place, json_lines, text};

fn states(lines: &[Value]) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines
        .iter()
        .filter(|line| !line["check"].is_null())
        .map(|line| (word(&line["check"]), word(&line["state"])))
        .collect()
}

fn is(check: &str, state: &str) -> (String, String) {
    (check.to_owned(), state.to_owned())
}

#[tokio::test]
async fn every_problem_of_the_settings_has_its_place_and_what_was_meant() {
    let place =
        Place::new().with("WORKER__CONCURENCY", "4").with_variable("SCENARIO_WORKER_NATS_URL", "nats://x");
    let file = place.path("worker.toml");
    std::fs::write(&file, "[run]\n\nmax_turns = 0\n").unwrap();
    let check = ["config", "check", "--config", file.to_str().unwrap()];
    let said = text(&place.run(&check).await.stderr);
    for part in [
        "did you mean `worker.concurrency`?",
        "(variable SCENARIO_WORKER__WORKER__CONCURENCY)",
        "worker.toml:3)",
        "did you mean SCENARIO_WORKER__NATS__URL?",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let output = place.run(&[&check[..], &["--json"]].concat()).await;
    assert_eq!(output.status.code(), Some(2));
    let lines = json_lines(&output.stdout);
    assert_eq!(
        states(&lines),
        [is("variables", "warning"), is("settings", "refused"), is("settings", "refused")]
    );
    let setting = lines.iter().find(|line| line["setting"] == "run.max_turns").unwrap();
    assert!(setting["place"].as_str().unwrap().ends_with("worker.toml:3"), "{setting}");
}

#[tokio::test]
async fn a_check_that_connects_says_what_is_there_and_what_to_do_about_the_rest() {
    let place = Place::new();
    let check = ["config", "check", "--connect", "--json"];
    let nothing = place.run(&check).await;
    let lines = json_lines(&nothing.stdout);
    let found = [is("settings", "ok"), is("store", "refused"), is("broker", "ok"), is("streams", "refused")];
    assert_eq!((nothing.status.code(), states(&lines)), (Some(2), found.to_vec()), "{lines:?}");
    assert!(lines[1]["message"].as_str().unwrap().contains("scenario-worker import"), "{lines:?}");
    assert!(lines[3]["hint"].as_str().unwrap().contains("scenario-worker serve"), "{lines:?}");
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    let all = place.run(&check).await;
    let states = states(&json_lines(&all.stdout));
    assert_eq!(all.status.code(), Some(0), "{states:?}");
    assert!(states.len() == 4 && states.iter().all(|(_, state)| state == "ok"), "{states:?}");
    let said = text(&place.run(&check[..3]).await.stderr);
    assert!(said.contains("✔ streams: ") && !said.contains('✘'), "{said}");
    let place = place.with("CONSUMER__MAX_ACK_PENDING", "7");
    let changed = place.run(&check).await;
    let streams = json_lines(&changed.stdout).remove(3);
    assert_eq!((changed.status.code(), &streams["state"]), (Some(0), &"warning".into()), "{streams}");
    assert!(streams["hint"].as_str().unwrap().contains("the next worker"), "{streams}");
}

#[tokio::test]
async fn a_broker_that_is_away_is_told_from_settings_that_are_wrong() {
    let mut server = NatsServer::start();
    let place = Place::on(server.account(0));
    place.import(&offline("http://127.0.0.1:9/")).await;
    server.kill();
    let output = place.run(&["config", "check", "--connect"]).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("✔ store") && said.contains("✘ broker") && said.contains("1 of 3 checks failed"),
        "{said}"
    );
}

#[tokio::test]
async fn programs_are_told_of_errors_as_json_and_people_as_words() {
    let place = Place::new();
    let away = place.run(&["watch", "--json", "--nats-url", "nats://127.0.0.1:9"]).await;
    assert_eq!(
        (away.status.code(), &json_lines(&away.stdout)[0]["error"]["code"]),
        (Some(3), &json!("out_of_reach"))
    );
    let usage = place.run(&["schedule", "--projekt", "acme", "--json"]).await;
    let error = &json_lines(&usage.stdout)[0]["error"];
    assert_eq!((usage.status.code(), &error["code"]), (Some(2), &json!("usage")));
    assert!(error["message"].as_str().unwrap().contains("--project"), "{error}");
    assert!(text(&usage.stderr).contains("--project"), "{}", text(&usage.stderr));
    let words = place.run(&["watch", "--nats-url", "nats://127.0.0.1:9"]).await;
    assert!(words.stdout.is_empty() && text(&words.stderr).starts_with("error: "), "{}", text(&words.stderr));
}

#[tokio::test]
async fn a_misspelt_name_is_answered_with_those_that_there_are() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let _worker = place.serve().await;
    for (project, scenario, target, hint) in [
        ("acm", "refund", "http:shop", "did you mean 'acme'? there is: acme"),
        ("acme", "refunds", "http:shop", "did you mean 'refund'?"),
        ("acme", "refund", "http:shp", "did you mean 'http:shop'?"),
        ("acme", "refund", "htp:shop", "Known types: a2a, http"),
    ] {
        let asked = ["schedule", "--project", project, "--scenario", scenario, "--target", target];
        let output = place.run(&asked).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(&format!("what to do: {hint}")), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn commands_that_change_something_say_so_to_programs() {
    let place = Place::new();
    let file = place.path("definitions.yaml");
    std::fs::write(&file, offline("http://127.0.0.1:9/")).unwrap();
    let imported = json_lines(&place.run(&["import", file.to_str().unwrap(), "--json"]).await.stdout);
    assert_eq!(
        (&imported[0]["created"], &imported[0]["definitions"]["agents"]["created"]),
        (&json!(4), &json!(1))
    );
    let migrated = json_lines(&place.run(&["migrate", "--json"]).await.stdout);
    assert_eq!(migrated, [json!({ "migrated": true, "sealed": 0 })]);
    let _worker = place.serve().await;
    let cancelled = json_lines(&place.run(&["cancel", "--project", "acme", "mine", "--json"]).await.stdout);
    assert_eq!((&cancelled[0]["cancelRequested"], &cancelled[0]["phase"]), (&json!(true), &json!("unknown")));
}

#[tokio::test]
async fn bash_completes_commands_and_flags() {
    let script = text(&Place::new().run(&["completions", "bash"]).await.stdout);
    let ask = r#"
complete_it() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  _scenario__worker scenario-worker "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[@]}"; }
complete_it scenario-worker sch
complete_it scenario-worker schedule --mat
complete_it scenario-worker dead-letters re
"#;
    let mut bash = Command::new("bash").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(format!("{script}\n{ask}").as_bytes()).await.unwrap();
    let output = bash.wait_with_output().await.unwrap();
    assert_eq!(text(&output.stdout), "schedule schemas\n--matrix\nredrive\n");
}

#[tokio::test]
async fn manual_pages_are_written_for_every_command_and_are_sound() {
    let place = Place::new();
    let folder = place.path("man1");
    let written = place.run(&["man", "--write", folder.to_str().unwrap()]).await;
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let page = text(&place.run(&["man", "dead-letters", "redrive"]).await.stdout);
    assert_eq!(std::fs::read_to_string(folder.join("scenario-worker-dead-letters-redrive.1")).unwrap(), page);
    assert!(page.contains("scenario\\-worker dead\\-letters redrive") && page.contains("Example"), "{page}");
    let pages = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for page in pages {
        // Only where there is a formatter: pages are text, whoever reads them.
        let checked = Command::new("groff").args(["-man", "-ww", "-z"]).arg(&page).output().await;
        let Ok(checked) = checked else { continue };
        assert!(checked.stderr.is_empty(), "{}: {}", page.display(), text(&checked.stderr));
    }
}
