//! A terminal of its own for a program: what it prints there is read by the test.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::Command;

use super::worker::PATIENCE;

/// Rows of the terminal; nobody here looks at them.
const ROWS: u16 = 24;

/// Runs `command` to its end with its standard error on a terminal of so many columns, and returns what was shown there.
pub(crate) async fn on_terminal(mut command: Command, columns: u16) -> (ExitStatus, String) {
    let (ours, theirs) = open(columns);
    command.stderr(Stdio::from(theirs)).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    // The terminal ends when nobody holds it any more, this command included.
    drop(command);
    let reading = tokio::task::spawn_blocking(move || read(File::from(ours)));
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    (status, reading.await.unwrap())
}

fn open(columns: u16) -> (OwnedFd, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = PathBuf::from(ptsname(&ours, Vec::new()).unwrap().into_string().unwrap());
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).unwrap();
    (ours, theirs)
}

/// Everything up to the end, which Linux reports as an error.
fn read(mut terminal: File) -> String {
    let (mut shown, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = terminal.read(&mut part) {
        shown.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&shown).into_owned()
}
