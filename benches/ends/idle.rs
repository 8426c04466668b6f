//! Many connections that have been answered once and then say nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::arguments::Arguments;

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let to: String = arguments.need("to")?;
    let connections: usize = arguments.need("connections")?;
    let mut streams = Vec::with_capacity(connections);
    for number in 0..connections {
        let stream = open(&to).with_context(|| format!("connection {number}"))?;
        streams.push(stream);
    }
    println!("{}", serde_json::json!({ "connections": streams.len() }));
    // Held until whoever started it has seen enough.
    std::io::stdin().read_exact(&mut [0; 1]).ok();
    Ok(())
}

/// Opens a connection and has one call answered on it.
fn open(to: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = BODY.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{BODY}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 4096];
    let got = stream.read(&mut answer)?;
    let answer = answer.get(..got).unwrap_or_default();
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("{}", String::from_utf8_lossy(answer));
    }
    Ok(stream)
}
