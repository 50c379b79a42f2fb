//! The README's chapter for real use, typed into a shell word for word. Only addresses are others, so that it can be typed in
//! where something else listens at the usual ones.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::database::TestDatabase;
use crate::support::nats;
use crate::support::openai::ModelServer;
use crate::support::otlp_receiver::{Mode, OtlpReceiver};
use crate::support::worker::PROGRAM;

const README: &str = include_str!("../../../README.md");
const CHAPTER: &str = "## Run it for real\n";
const NEXT_CHAPTER: &str = "\n### ";
/// What begins and ends a block of commands.
const BLOCK: &str = "```sh\n";
const BLOCK_END: &str = "```";
/// The database of the chapter.
const DATABASE: &str = "postgres://scenario:secret@127.0.0.1:5432/scenarios";
/// The ports of the chapter: broker, workers, agent.
const PORTS: [&str; 5] = ["4222", "9464", "9465", "9466", "8088"];
/// Where the chapter's viewer is.
const VIEWER: &str = "http://127.0.0.1:4318";
/// How long all of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);
/// What the chapter needs of the repository.
const LINKED: [&str; 3] = ["config", "deploy", ".tools"];
/// What stands for cargo, whose work is done: these tests are built with the program.
const CARGO: &str = "#!/bin/sh\n[ \"$*\" = 'build --release' ]\n";
/// Runs of the chapter: the first one, one with a model, and those of three workers.
const RUNS: usize = 62;

/// The commands of the chapter.
fn commands() -> String {
    let (_, chapter) = README.split_once(CHAPTER).expect("the README has the chapter");
    let (chapter, _) = chapter.split_once(NEXT_CHAPTER).expect("something comes after the chapter");
    let blocks = chapter.split(BLOCK).skip(1);
    blocks.map(|block| block.split_once(BLOCK_END).expect("a block ends").0).collect()
}

/// The commands with other addresses, each of which has to be there.
fn moved(others: &[(&str, String)]) -> String {
    others.iter().fold(commands(), |commands, (usual, other)| {
        assert!(commands.contains(usual), "the chapter says nothing of {usual}");
        commands.replace(usual, other)
    })
}

/// Ports that are free, for those of [`PORTS`].
fn ports() -> Vec<(&'static str, String)> {
    // Held together, so that they differ.
    let held = PORTS.map(|usual| (usual, TcpListener::bind("127.0.0.1:0").unwrap()));
    held.iter().map(|(usual, free)| (*usual, free.local_addr().unwrap().port().to_string())).collect()
}

/// The repository as a stranger's folder, with the program built.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in LINKED.iter().filter(|name| root.join(name).exists()) {
        symlink(root.join(name), folder.path().join(name)).unwrap();
    }
    let (built, bin) = (folder.path().join("target/release"), folder.path().join("bin"));
    for folder in [&built, &bin] {
        fs::create_dir_all(folder).unwrap();
    }
    symlink(PROGRAM, built.join("scenario-worker")).unwrap();
    let cargo = bin.join("cargo");
    fs::write(&cargo, CARGO).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A shell's process group, which ends with this value: what was started in the background stays in it.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0);
        // It is gone already where nothing stayed behind.
        let _ =
            std::process::Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    }
}

/// Types `script` into a shell in `folder`; how it ended, and everything that was said.
async fn type_in(folder: &Path, environment: &[(&str, String)], script: &str) -> (ExitStatus, String) {
    let said = folder.join("said");
    let output = File::create(&said).unwrap();
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-eux", "-o", "pipefail", "-s"]).current_dir(folder).env("PATH", path);
    command.env("NATS_SERVER", nats::program()).envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output).process_group(0);
    let mut shell = command.spawn().unwrap();
    let _group = Group(shell.id().unwrap());
    shell.stdin.take().unwrap().write_all(script.as_bytes()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, shell.wait()).await;
    let said = fs::read_to_string(said).unwrap();
    (ended.unwrap_or_else(|_| panic!("the chapter is not done in time: {said}")).unwrap(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chapter_for_real_use_can_be_typed_in_word_for_word() {
    let Some(database) = TestDatabase::postgres("the README's chapter").await else { return };
    let (models, viewer) = (ModelServer::playing().await, OtlpReceiver::start(Mode::Ok).await);
    let ports = ports();
    let elsewhere = [(DATABASE, database.url()), (VIEWER, viewer.endpoint())];
    let script = moved(&[&elsewhere[..], &ports[..]].concat());
    let at = |port: usize| format!("127.0.0.1:{}", ports[port].1);
    let environment = [
        ("SCENARIO_WORKER__NATS__URL", format!("nats://{}", at(0))),
        ("SCENARIO_WORKER__HTTP__BIND", at(1)),
        ("OPENAI_BASE_URL", models.base_url()),
    ];
    let folder = checkout();
    let (status, said) = type_in(folder.path(), &environment, &script).await;
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("I refund the 12 euros"), "the conversation is shown: {said}");
    let traces: BTreeSet<_> = viewer.spans().iter().map(|span| span.trace_id.clone()).collect();
    assert_eq!(traces.len(), RUNS, "each run has its trace in the viewer: {said}");
    assert!(!models.received().is_empty(), "the real model was asked");
    database.drop_database().await;
}
