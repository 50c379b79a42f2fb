//! The demo leaves nothing behind, however it ends.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};

use crate::support::nats;
use crate::support::worker::{PATIENCE, Place, signal, text, until_said, within};

/// What the demo shows once a conversation is under way.
const UNDER_WAY: &str = "begins, against";

/// A demo whose traces can be looked for: its temporary folders and its broker's process.
struct Demo {
    place: Place,
}

impl Demo {
    fn new() -> Self {
        let demo = Self { place: Place::new() };
        std::fs::create_dir(demo.folders()).unwrap();
        let mut script = String::new();
        let (pid, server) = (demo.pid_file(), nats::program());
        // The process id stays the same through `exec`.
        writeln!(script, "#!/bin/sh\necho $$ >'{}'\nexec '{}' \"$@\"", pid.display(), server.display())
            .unwrap();
        std::fs::write(demo.server(), script).unwrap();
        std::fs::set_permissions(demo.server(), std::fs::Permissions::from_mode(0o755)).unwrap();
        demo
    }

    fn folders(&self) -> PathBuf {
        self.place.path("tmp")
    }

    fn pid_file(&self) -> PathBuf {
        self.place.path("nats-server.pid")
    }

    fn server(&self) -> PathBuf {
        self.place.path("nats-server")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(&[&["demo"], arguments].concat());
        command.env("TMPDIR", self.folders()).env("NATS_SERVER", self.server());
        command
    }

    fn broker(&self) -> Option<String> {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        Some(pid.trim().to_owned()).filter(|pid| !pid.is_empty())
    }

    fn assert_nothing_is_left(&self) {
        assert!(is_empty(&self.folders()), "a folder is left behind");
        let pid = self.broker().expect("the broker was started");
        let probe = std::process::Command::new("kill").args(["-0", &pid]).output().unwrap();
        assert!(!probe.status.success(), "the broker {pid} is left behind");
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

async fn exit_code(mut demo: Child) -> Option<i32> {
    tokio::time::timeout(PATIENCE, demo.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn a_demo_that_ends_by_itself_leaves_nothing_behind() {
    let demo = Demo::new();
    let output = demo.command(&[]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("All as it should be"));
    demo.assert_nothing_is_left();
}

#[tokio::test]
async fn a_demo_that_is_stopped_in_the_middle_leaves_nothing_behind() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let demo = Demo::new();
        let mut process = demo.command(&[]).spawn().unwrap();
        let _rest = until_said(&mut process, UNDER_WAY).await;
        assert!(!is_empty(&demo.folders()), "the demo keeps its things where this test looks");
        signal(&process, name);
        assert_eq!(exit_code(process).await, Some(code));
        demo.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn a_demo_that_is_stopped_while_its_broker_starts_leaves_nothing_behind() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let demo = Demo::new();
        let process = demo.command(&[]).spawn().unwrap();
        within(async || demo.broker().is_some()).await;
        signal(&process, name);
        assert_eq!(exit_code(process).await, Some(code));
        demo.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn a_demo_that_is_kept_ends_well_with_a_signal() {
    let demo = Demo::new();
    let mut process = demo.command(&["--keep"]).spawn().unwrap();
    let _rest = until_said(&mut process, "Everything stays up").await;
    signal(&process, "INT");
    assert_eq!(exit_code(process).await, Some(0));
    demo.assert_nothing_is_left();
}

#[tokio::test]
async fn a_demo_takes_no_settings_that_it_would_ignore() {
    let demo = Demo::new();
    for flag in ["--config", "--nats-url", "--store-url"] {
        let output = demo.command(&[flag, "x"]).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(flag), "{}", text(&output.stderr));
    }
    assert!(demo.broker().is_none(), "nothing was started");
}
