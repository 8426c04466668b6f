//! Nodes of one chain that have its blocks at different times, 0 to 5 blocks apart, and not always the same one
//! first: pretend ones without sockets, or anvils.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_fake::{FakeChain, FakeNode, FixedResult};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{ANVIL, Anvil, Rpc, pretend_node};

const NODES: u64 = 2;
const FIRST: u64 = 100;
/// How many blocks a node is behind, for some blocks each.
const LAGS: [u64; 8] = [1, 2, 0, 3, 5, 1, 4, 2];
const LAG_BLOCKS: u64 = 5;
/// After so many blocks another one is first.
const TURN_BLOCKS: u64 = 12;
/// A block takes up to this part of its time on its way to a node.
const WAY_PART: f64 = 0.3;

/// When the first node had a block.
pub type Firsts = Arc<Mutex<HashMap<u64, Instant>>>;

/// The running nodes.
pub struct LateNodes {
    pub urls: Vec<String>,
    pub firsts: Firsts,
    /// What they have of state is told by its nonce: the block's number.
    pub tell_state: bool,
    task: JoinHandle<()>,
    _keep: Kept,
}

enum Kept {
    Pretend { _nodes: Arc<Vec<FakeNode>> },
    Real { _nodes: Vec<Anvil> },
}

impl LateNodes {
    /// Without sockets. `blocks`: how many there will be.
    pub async fn pretend(block_time: Duration, blocks: u64) -> LateNodes {
        let chain = FakeChain::running(1, FIRST, block_time);
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let node = pretend_node(&chain).await;
            node.set_head(FIRST);
            node.change(|behaviour| {
                behaviour.facts = (FIRST..=FIRST + blocks).map(nonce).collect();
            });
            nodes.push(node);
        }
        let nodes = Arc::new(nodes);
        let firsts = Firsts::default();
        let urls = nodes.iter().map(FakeNode::url).collect();
        let (told, fed) = (firsts.clone(), nodes.clone());
        let task = each_arrival(block_time, move |at, head, _| {
            note(&told, head);
            fed[at].set_head(head);
            ready(())
        });
        LateNodes {
            urls,
            firsts,
            tell_state: true,
            task,
            _keep: Kept::Pretend { _nodes: nodes },
        }
    }

    /// anvils, which have sockets.
    pub async fn real(block_time: Duration) -> LateNodes {
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let node = Anvil::start(ANVIL).await;
            node.tick_evenly().await;
            node.mine(FIRST).await;
            nodes.push(node);
        }
        let firsts = Firsts::default();
        let urls = nodes.iter().map(Anvil::url).collect();
        let rpcs: Vec<Rpc> = nodes.iter().map(|node| node.rpc).collect();
        let told = firsts.clone();
        let task = each_arrival(block_time, move |at, head, more| {
            let (rpc, told) = (rpcs[at], told.clone());
            async move {
                rpc.call("anvil_mine", json!([format!("{more:#x}")])).await;
                note(&told, head);
            }
        });
        LateNodes {
            urls,
            firsts,
            tell_state: false,
            task,
            _keep: Kept::Real { _nodes: nodes },
        }
    }
}

impl Drop for LateNodes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn now() -> Instant {
    forebay::clock::now()
}

/// Tells `tell` whenever a node gets blocks: which one it is, the last of them, and how many they are.
fn each_arrival<F: Future<Output = ()> + Send + 'static>(
    block_time: Duration,
    mut tell: impl FnMut(usize, u64, u64) -> F + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut heads = [FIRST; NODES as usize];
        let mut tick = tokio::time::interval(tick_of(block_time));
        let began = now();
        loop {
            tick.tick().await;
            let before = heads;
            for (at, head) in arrived(&mut heads, began, block_time) {
                tell(at, head, head - before[at]).await;
            }
        }
    })
}

fn tick_of(block_time: Duration) -> Duration {
    (block_time / 50).clamp(Duration::from_millis(3), Duration::from_millis(20))
}

fn nonce(number: u64) -> FixedResult {
    FixedResult {
        method: "eth_getTransactionCount".into(),
        of: None,
        since: number,
        result: format!("\"{number:#x}\""),
    }
}

fn note(firsts: &Firsts, head: u64) {
    firsts.lock().entry(head).or_insert_with(now);
}

/// The nodes that have a block by now that they hadn't before.
fn arrived(heads: &mut [u64], began: Instant, block_time: Duration) -> Vec<(usize, u64)> {
    let passed = began.elapsed().as_secs_f64() / block_time.as_secs_f64();
    let block = passed as u64;
    let mut arrived = Vec::new();
    for (at, head) in heads.iter_mut().enumerate() {
        let node = at as u64;
        let is_ahead = (block / TURN_BLOCKS) % NODES == node;
        let turn = (block / LAG_BLOCKS + 3 * node) % LAGS.len() as u64;
        let lag = if is_ahead { 0 } else { LAGS[turn as usize] };
        // Some way, another one for each block and node.
        let way = ((block * 7 + node * 3) % 10) as f64 / 10.0 * WAY_PART;
        let is_here = passed.fract() >= way;
        let has = (FIRST + block).saturating_sub(lag + u64::from(!is_here));
        if has > *head {
            *head = has;
            arrived.push((at, has));
        }
    }
    arrived
}
