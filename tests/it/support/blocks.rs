//! Blocks that were made, as a tree, and how a node gets them over the engine API.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::GethNode;

pub const ZERO: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";
/// How far `safe` and `finalized` are below a head.
const SAFE_BEHIND: u64 = 4;
const FINALIZED_BEHIND: u64 = 8;

/// A block that was made.
#[derive(Debug)]
pub struct Made {
    pub number: u64,
    /// `None`: the genesis.
    pub parent: Option<String>,
    pub timestamp: u64,
    /// Of the beacon block above; it makes two blocks of one parent differ.
    pub root: String,
    /// As `engine_newPayload` takes it.
    pub payload: Value,
    pub requests: Value,
}

/// By hash.
#[derive(Debug, Default)]
pub struct Blocks {
    made: HashMap<String, Made>,
}

impl Blocks {
    pub fn add(&mut self, hash: String, made: Made) {
        self.made.insert(hash, made);
    }

    pub fn get(&self, block: &str) -> &Made {
        &self.made[block]
    }

    /// The block so far below `block`, or the genesis.
    pub fn ancestor(&self, block: &str, below: u64) -> String {
        let mut at = block;
        for _ in 0..below {
            match &self.made[at].parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        at.to_owned()
    }

    /// Whether `block` is `other`, or stands on it.
    pub fn is_above(&self, block: &str, other: &str) -> bool {
        let below = self
            .get(block)
            .number
            .saturating_sub(self.get(other).number);
        self.ancestor(block, below) == other
    }

    /// Gives `node` the block and what it lacks below, and makes it its head.
    pub async fn bring(&self, node: &mut GethNode, block: &str) {
        self.give(node, block).await;
        let safe = self.ancestor(block, SAFE_BEHIND);
        let finalized = self.ancestor(block, FINALIZED_BEHIND);
        choose(node, block, &safe, &finalized).await;
        node.at = Some(block.to_owned());
    }

    /// Gives `node` the block and what it lacks below.
    pub async fn give(&self, node: &mut GethNode, block: &str) {
        if !self.is_taken(node, block).await {
            // It may have lost what it had.
            node.has.clear();
            let is_taken = self.is_taken(node, block).await;
            assert!(is_taken, "{} doesn't take {block}", node.name);
        }
    }

    async fn is_taken(&self, node: &mut GethNode, block: &str) -> bool {
        let mut lacking = Vec::new();
        let mut at = block;
        while let Some(parent) = &self.made[at].parent
            && !node.has.contains(at)
        {
            lacking.push(at);
            at = parent;
        }
        for hash in lacking.into_iter().rev() {
            let made = &self.made[hash];
            let mut said = made.status_at(node).await;
            if said == "ACCEPTED" {
                // The state below is gone, as after a kill: choosing the parent brings it back.
                let parent = made.parent.as_deref().unwrap_or(ZERO);
                choose(node, parent, ZERO, ZERO).await;
                said = made.status_at(node).await;
            }
            if said != "VALID" {
                return false;
            }
            node.has.insert(hash.to_owned());
        }
        true
    }
}

impl Made {
    /// What `node` says of it.
    async fn status_at(&self, node: &GethNode) -> String {
        let told = json!([self.payload, [], self.root, self.requests]);
        let said = node.engine("engine_newPayloadV4", told).await;
        let status = said.unwrap_or_else(|why| panic!("{why}"))["status"].take();
        status.as_str().unwrap_or_default().to_owned()
    }
}

/// The head of `node`, what is safe and what is final.
pub async fn choose(node: &GethNode, head: &str, safe: &str, finalized: &str) {
    let state = json!({
        "headBlockHash": head, "safeBlockHash": safe, "finalizedBlockHash": finalized,
    });
    let told = node
        .engine("engine_forkchoiceUpdatedV3", json!([state, null]))
        .await;
    let told = told.unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(
        told["payloadStatus"]["status"], "VALID",
        "{}: {told}",
        node.name
    );
}
