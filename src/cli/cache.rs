//! `forebay cache purge`: lets answers go that a running balancer keeps, by its admin listener.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::error::CommandError;
use crate::config::settings::Settings;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::Secret;

const PATIENCE: Duration = Duration::from_secs(10);
/// No such node.
const NOT_FOUND: u8 = 3;

/// Commands about answers that are kept.
#[derive(Clone, Subcommand)]
pub enum CacheCommand {
    /// Let kept answers go: nodes are asked anew
    Purge(PurgeArguments),
}

#[derive(Clone, Args)]
pub struct PurgeArguments {
    /// Of this chain; else of the default one
    #[arg(long, value_name = "NAME")]
    chain: Option<ChainName>,
    #[command(flatten)]
    which: PurgedAnswers,
}

#[derive(Clone, Args)]
#[group(required = true, multiple = false)]
struct PurgedAnswers {
    /// Those that this node gave
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Those to this method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl PurgedAnswers {
    fn body(&self) -> Value {
        match (&self.node, &self.method) {
            (Some(node), _) => json!({ "node": node }),
            (None, Some(method)) => json!({ "method": method }),
            (None, None) => json!({ "all": true }),
        }
    }
}

/// Asks the balancer that runs with these settings.
pub fn run(command: &CacheCommand, settings: &Settings) -> Result<(), CommandError> {
    let CacheCommand::Purge(arguments) = command;
    let Some(address) = settings.listen.admin else {
        return Err(CommandError::refused(
            "there is no admin listener to ask (forebay.listen.admin is off)",
        ));
    };
    let address = super::health::reachable(address);
    let asking = ask(address, settings.admin.token.as_ref(), arguments);
    let (status, answer) = super::setup::runtime()?.block_on(asking)?;
    match (status, answer["purged"].as_u64()) {
        (200, Some(purged)) => {
            writeln!(io::stdout(), "{purged} kept answers are gone").map_err(CommandError::refused)
        }
        _ => {
            let why = answer["error"]["message"]
                .as_str()
                .unwrap_or("no such answer was expected");
            Err(CommandError {
                code: if status == 404 { NOT_FOUND } else { 1 },
                why: why.to_string(),
            })
        }
    }
}

async fn ask(
    address: SocketAddr,
    token: Option<&Secret>,
    arguments: &PurgeArguments,
) -> Result<(u16, Value), CommandError> {
    let client = super::health::client(PATIENCE).build();
    let client = client.map_err(CommandError::refused)?;
    // A name needs no escapes.
    let chain = arguments.chain.as_ref();
    let query = chain.map_or(String::new(), |chain| format!("?chain={chain}"));
    let mut request = client
        .post(format!("http://{address}/cache/purge{query}"))
        .header("content-type", "application/json")
        .body(arguments.which.body().to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    let unreached = |_| CommandError::out_of_reach(format!("nothing answers at {address}"));
    let answer = request.send().await.map_err(unreached)?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(unreached)?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}
