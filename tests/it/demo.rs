//! The demo as a newcomer starts it, without a terminal and as short as it may be.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::assert_says;

const FOREBAY: &str = env!("CARGO_BIN_EXE_forebay");
/// Three times the story's length: a busy machine starts slowly.
const DEADLINE: Duration = Duration::from_secs(60);

fn demo(arguments: &[&str]) -> Child {
    Command::new(FOREBAY)
        .arg("demo")
        .args(arguments)
        .env_remove("FOREBAY_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code, stdout and stderr; a child that isn't done by the deadline is ended.
fn ended(mut child: Child) -> (Option<i32>, String, String) {
    let (mut out, mut notes) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        let (mut said, mut noted) = (String::new(), String::new());
        out.read_to_string(&mut said).unwrap();
        notes.read_to_string(&mut noted).unwrap();
        // Nothing listens any more after the deadline.
        let _ = tell.send(());
        (said, noted)
    });
    if told.recv_timeout(DEADLINE).is_err() {
        child.kill().unwrap();
    }
    let (said, noted) = reader.join().unwrap();
    (child.wait().unwrap().code(), said, noted)
}

/// The number that follows `name` on its line of the summary.
fn figure(said: &str, name: &str) -> u64 {
    let summary = said.split_once("Summary of").expect(said).1;
    let lines = summary.lines().map(str::trim);
    let mut values = lines.filter_map(|line| line.strip_prefix(name));
    let value = values.next().expect(name).split_whitespace().next();
    value.unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn the_whole_story_is_told_no_call_fails_and_the_leader_serves_some() {
    let (code, said, noted) = ended(demo(&["--listen", "127.0.0.1:0", "--for", "20s"]));
    assert_eq!((code, noted.as_str()), (Some(0), ""), "{said}");
    assert_eq!(figure(&said, "failed"), 0, "{said}");
    assert!(figure(&said, "calls made") > 200, "{said}");
    assert!(figure(&said, "calls of the second chain") > 200, "{said}");
    for name in ["node-1", "node-2", "node-3", "leader"] {
        assert!(figure(&said, name) > 0, "{name}\n{said}");
    }
    for sentence in [
        "5/5  They return",
        "node-2 stands still",
        "blocks behind",
        "node-2 is fit again",
        "node-3 gets no more calls: does not answer",
        "no own node is fit: the leader takes over",
        "an own node is fit again: the leader is left alone",
    ] {
        assert!(said.contains(sentence), "{sentence}\n{said}");
    }
    assert!(!said.contains('\x1b'), "a pipe gets no colours\n{said}");
}

#[test]
fn a_taken_address_and_too_short_a_story_are_refused_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, noted) = ended(demo(&["--listen", &address]));
    assert_eq!(code, Some(4), "{noted}");
    assert_says(&noted, &format!("can't listen on {address}"));

    let (code, _, noted) = ended(demo(&["--for", "19s"]));
    assert_eq!(code, Some(2), "{noted}");
    assert!(noted.contains("needs 20 s"), "{noted}");
}
