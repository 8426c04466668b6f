//! Both ends of a measured call: `ends node` is a node that answers everything alike, `ends call`
//! and its sisters are callers that look at every answer.
//!
//! One thread and one epoll each, so that either end costs as little as it can: on a machine with
//! two cores they share the one that the measured program leaves. Every run has an end in calls or
//! in time. What a run found is one line of JSON on standard output.

mod answers;
mod arguments;
mod calls;
mod http;
mod http2;
mod idle;
mod kind;
mod large;
mod line;
mod node;
mod poll;
mod samples;
mod stream;
mod websocket;

use std::process::ExitCode;

use arguments::Arguments;

const USAGE: &str = "\
ends node  [--nodes 1] [--delay MILLISECONDS] a node on a free port, or several; until its input ends
           [--certificate PEM --key PEM]     by TLS; to a line of its input it says what it has counted
ends call  --to ADDRESS --for SECONDS        as fast as answers come; or --calls N
           [--rate N] [--connections 64] [--method eth_call] [--batch N] [--fixed TEXT]
           [--by http1|http2|websocket] [--streams 1] [--trusted PEM] by TLS
           [--new yes]                       a connection of its own for each call
ends large --to ADDRESS --bytes N            answers of this length
           [--connections 1] [--count 1] [--slow BYTES_A_SECOND --for SECONDS]
ends idle  --to ADDRESS --connections N      one call each, then silence; until its input ends
           [--by http1|http2] [--trusted PEM]";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let done = Arguments::read(words).and_then(|arguments| match command.as_str() {
        "node" => node::run(&arguments),
        "call" => calls::run(&arguments),
        "large" => large::run(&arguments),
        "idle" => idle::run(&arguments),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ends: {why:#}");
            ExitCode::FAILURE
        }
    }
}
