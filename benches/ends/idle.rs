//! Many connections that have been answered once and then say nothing.

use std::time::Duration;

use anyhow::{Context as _, bail};

use super::arguments::Arguments;
use super::line::{Line, Manner};
use super::poll::{Poll, now};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
const ANSWER: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let manner = Manner::read(arguments)?;
    let connections: usize = arguments.need("connections")?;
    let mut lines = Vec::with_capacity(connections);
    for number in 0..connections {
        let line = open(&manner).with_context(|| format!("connection {number}"))?;
        lines.push(line);
    }
    println!("{}", serde_json::json!({ "connections": lines.len() }));
    // Held until the process that started it has seen enough.
    std::io::Read::read_exact(&mut std::io::stdin(), &mut [0; 1]).ok();
    Ok(())
}

/// Opens a connection and has one call answered on it.
fn open(manner: &Manner) -> anyhow::Result<Line> {
    let mut line = Line::open(manner)?;
    let mut poll = Poll::new()?;
    poll.add(&line.stream, 0)?;
    line.send(BODY)?;
    let until = now() + PATIENCE;
    while now() < until {
        poll.wait(Some(PATIENCE))?;
        if let Some(heard) = line.hear()?.pop() {
            if heard.status == 200 && heard.body == ANSWER {
                return Ok(line);
            }
            let body = String::from_utf8_lossy(&heard.body);
            bail!("{} {body}", heard.status);
        }
    }
    bail!("no answer");
}
