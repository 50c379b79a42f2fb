//! What the program says where it cannot do what it was asked to.

use std::time::Duration;

use super::commands::schedule;
use super::strangers::offline;
use crate::support::worker::{Place, text};

/// A client that tries for long would be killed by this: far less than the broker is retried for.
const AT_ONCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn without_any_worker_ever_a_client_says_at_once_to_start_one() {
    let place = Place::new();
    place.import(&offline("http://127.0.0.1:9/")).await;
    let commands = [schedule(&[]), vec!["watch"], vec!["cancel", "--project", "acme", "mine"]];
    for command in commands {
        let output = tokio::time::timeout(AT_ONCE, place.run(&command)).await.expect("it is said at once");
        assert_eq!(output.status.code(), Some(3));
        let error = text(&output.stderr);
        assert!(error.contains("start a worker first: `scenario-worker serve`"), "{error}");
    }
}

#[tokio::test]
async fn a_concurrency_flag_is_checked_like_the_setting() {
    let place = Place::new();
    for (runs, problem) in [("0", "must be at least 1"), ("2305843009213693952", "must be at most 1000000")] {
        let output = place.run(&["serve", "--concurrency", runs]).await;
        assert_eq!(output.status.code(), Some(2));
        let error = text(&output.stderr);
        assert!(error.contains("worker.concurrency") && error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_comes_with_how_to_choose_another() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Place::new().with("HTTP__BIND", &address).run(&["serve"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains(&address) && error.contains("SCENARIO_WORKER__HTTP__BIND"), "{error}");
}

#[tokio::test]
async fn output_that_nobody_reads_ends_the_program_quietly() {
    let place = Place::new();
    for arguments in [&["config", "show"][..], &["config", "show", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let process = place.command(arguments).stdout(writer).spawn().unwrap();
        let output = process.wait_with_output().await.unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(141), ""));
    }
}
