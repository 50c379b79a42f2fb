//! Keys that seal credentials, from making one to replacing it.

use std::process::Output;

use crate::support::worker::{Place, text};

const DEFINITIONS: &str = r#"{
  "project": { "id": "acme", "defaultModel": "offline/model" },
  "providers": [{ "id": "offline", "kind": "scripted", "models": { "model": { "replies": ["my mug broke"] } } }],
  "secrets": { "SHOP_TOKEN": "shop-hunter2" }
}"#;

async fn new_key(place: &Place) -> String {
    let output = place.run(&["keys", "generate"]).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

async fn import(place: &Place) -> Output {
    let file = place.path("definitions.json");
    std::fs::write(&file, DEFINITIONS).unwrap();
    place.run(&["import", file.to_str().unwrap()]).await
}

fn shows_secret(place: &Place) -> bool {
    let files =
        ["worker.db", "worker.db-wal"].map(|name| std::fs::read(place.path(name)).unwrap_or_default());
    assert!(text(&files.concat()).contains("acme"), "the database is there");
    text(&files.concat()).contains("hunter2")
}

fn refused(output: &Output, words: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(words), "'{words}' is missing in {said}");
}

#[tokio::test]
async fn what_was_imported_in_the_clear_is_sealed_by_migrate_and_again_by_a_new_key() {
    let open = Place::new();
    let said = text(&import(&open).await.stderr);
    assert!(said.contains("in the clear") && said.contains("keys generate"), "{said}");
    assert!(shows_secret(&open));

    let file = open.path("keys");
    let old = new_key(&open).await;
    std::fs::write(&file, format!("# the key of today\n{old}\n")).unwrap();
    let place = open.with("STORE__ENCRYPTION_KEYS_FILE", file.to_str().unwrap());
    let said = text(&place.run(&["migrate"]).await.stderr);
    assert!(said.contains("3 definitions were sealed"), "{said}");
    assert!(!shows_secret(&place));
    let said = text(&import(&place).await.stderr);
    assert!(said.contains("3 unchanged") && !said.contains("in the clear"), "{said}");

    let new = new_key(&place).await;
    std::fs::write(&file, format!("{new}\n{old}\n")).unwrap();
    assert!(text(&place.run(&["migrate"]).await.stderr).contains("3 definitions were sealed"));
    std::fs::write(&file, &old).unwrap();
    refused(&place.run(&["serve"]).await, "which is listed neither in `store.encryption_keys_file`");
    std::fs::write(&file, &new).unwrap();
    place.serve().await.kill().await;
}

#[tokio::test]
async fn nobody_goes_on_without_the_key_and_what_is_no_key_is_not_repeated() {
    let place = Place::new();
    let key = new_key(&place).await;
    let file = place.path("keys");
    let place = place.with("STORE__ENCRYPTION_KEYS_FILE", file.to_str().unwrap());
    refused(&import(&place).await, "cannot be read");
    for (keys, words) in
        [("", "there is no key in it"), ("hunter2", "key 1 is not"), (&key[1..], "key 1 is not")]
    {
        std::fs::write(&file, keys).unwrap();
        let output = import(&place).await;
        refused(&output, words);
        let said = text(&output.stderr);
        assert!(said.contains(file.to_str().unwrap()) && (keys.is_empty() || !said.contains(keys)), "{said}");
    }
    std::fs::write(&file, &key).unwrap();
    assert!(import(&place).await.status.success());
    for command in ["serve", "migrate"] {
        let mut command = place.command(&[command]);
        let output =
            command.env_remove("SCENARIO_WORKER__STORE__ENCRYPTION_KEYS_FILE").output().await.unwrap();
        refused(&output, "of project 'acme'");
    }
}
