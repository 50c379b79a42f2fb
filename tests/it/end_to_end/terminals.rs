//! What people see at their terminal, and how they leave it.

use std::time::Duration;

use super::commands::schedule;
use super::strangers::offline;
use crate::support::shop::Shop;
use crate::support::worker::{PATIENCE, Place, json_lines, signal, text, until_said};

/// What a hostile model says, as YAML writes it: clear the screen, retitle the window, turn the line around.
const HOSTILE: &str = r"my \e[2J\e]0;owned\a \u009b2J \u202e mug broke";

fn is_obeyed(c: char) -> bool {
    (c.is_control() && c != '\n') || c == '\u{202e}'
}

#[tokio::test]
async fn nobody_under_test_controls_the_terminal_of_who_watches() {
    let shop = Shop::open(Duration::ZERO).await;
    let place = Place::new();
    let definitions = offline(shop.url()).replace("my mug broke", HOSTILE);
    place.import(&definitions.replace("The agent apologises", r"Sorry \u009b2J\e[8m")).await;
    let _worker = place.serve().await;
    let waited = place.run(&schedule(&["--run-id", "mine", "--wait"])).await;
    let watched = place.run(&["watch", "--run", "mine"]).await;
    for shown in [text(&waited.stderr), text(&watched.stderr)] {
        assert!(shown.contains("SUCCESS") && !shown.chars().any(is_obeyed), "{shown:?}");
    }
    assert!(text(&waited.stderr).contains(r"Sorry \u{9b}2J␛[8m"), "{}", text(&waited.stderr));
    assert!(text(&watched.stderr).contains("␛[2J␛]0;owned␇"), "{}", text(&watched.stderr));
    let json = place.run(&["watch", "--run", "mine", "--json"]).await.stdout;
    assert!(!text(&json).chars().any(is_obeyed), "{:?}", text(&json));
    let said = json_lines(&json)[1]["content"].as_str().unwrap().to_owned();
    assert_eq!(
        said, "my \u{1b}[2J\u{1b}]0;owned\u{7} \u{9b}2J \u{202e} mug broke",
        "programs get it as it was"
    );
}

#[tokio::test]
async fn whoever_waits_for_nothing_is_told_so_and_can_leave_quietly() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    place.serve().await.kill().await;
    let mut watching = place.command(&["watch", "--run", "other"]).spawn().unwrap();
    let mut waiting = place.command(&schedule(&["--wait"])).spawn().unwrap();
    let mut rest = until_said(&mut waiting, "does a worker run").await;
    signal(&waiting, "INT");
    let status = tokio::time::timeout(PATIENCE, waiting.wait()).await.unwrap().unwrap();
    assert_eq!((status.code(), rest.next_line().await.unwrap()), (Some(130), None));
    let _rest = until_said(&mut watching, "does a worker run").await;
    signal(&watching, "INT");
    let watched = tokio::time::timeout(PATIENCE, watching.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((watched.status.code(), watched.stdout), (Some(0), Vec::new()));
}
