//! The pretend nodes of the demo, and how they act their parts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::demo::scenario::{DemoNode, NodeAction};
use forebay_core::vocabulary::node::{NodeRecord, Role, Weight};
use forebay_fake::{Behaviour, FakeChain, FakeConfig, FakeNode};

/// A chain that exists nowhere else.
pub(super) const CHAIN_ID: u64 = 1337;
/// And one beside it.
pub(super) const SECOND_ID: u64 = 1338;
pub(super) const LEADER: &str = "leader";

const FIRST_HEAD: u64 = 21_000_000;
const SECOND_HEAD: u64 = 30_000_000;
const SEED: u64 = 8545;
const OWN_LATENCY: Duration = Duration::from_millis(3);
/// The leader is a paid service, and far away.
const LEADER_LATENCY: Duration = Duration::from_millis(20);
/// How far a node falls back.
const BACKUP_AGE_BLOCKS: u64 = 40;

/// Three nodes and a leader on one chain, and two nodes on another, to which nothing happens.
pub(super) struct DemoFleet {
    chain: Arc<FakeChain>,
    /// As [`DemoNode::ALL`] has them.
    own: [FakeNode; DemoNode::ALL.len()],
    leader: FakeNode,
    second: [FakeNode; 2],
    catching_up: Vec<DemoNode>,
}

impl DemoFleet {
    /// Starts all of them, each on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When a port can't be bound.
    pub(super) async fn build(block_time: Duration) -> io::Result<DemoFleet> {
        let chain = FakeChain::running(SEED, FIRST_HEAD, block_time);
        let second = FakeChain::running(SEED + 1, SECOND_HEAD, block_time);
        let own = async || start(&chain, CHAIN_ID, OWN_LATENCY).await;
        let beside = async || start(&second, SECOND_ID, OWN_LATENCY).await;
        Ok(DemoFleet {
            own: [own().await?, own().await?, own().await?],
            leader: start(&chain, CHAIN_ID, LEADER_LATENCY).await?,
            second: [beside().await?, beside().await?],
            chain,
            catching_up: Vec::new(),
        })
    }

    /// The nodes as an operator would write them down.
    pub(super) fn records(&self) -> Vec<NodeRecord> {
        let own = DemoNode::ALL.map(|player| NodeRecord {
            name: Some(player.name().to_string()),
            weight: Weight::new(player.weight()).unwrap_or(Weight::ONE),
            ..NodeRecord::at(&self.node(player).url())
        });
        let leader = NodeRecord {
            name: Some(LEADER.to_string()),
            role: Role::Leader,
            ..NodeRecord::at(&self.leader.url())
        };
        own.into_iter().chain([leader]).collect()
    }

    /// Those of the second chain.
    pub(super) fn second_records(&self) -> Vec<NodeRecord> {
        let nodes = self.second.iter().zip(["second-1", "second-2"]);
        nodes
            .map(|(node, name)| NodeRecord {
                name: Some(name.to_string()),
                ..NodeRecord::at(&node.url())
            })
            .collect()
    }

    fn node(&self, player: DemoNode) -> &FakeNode {
        &self.own[player as usize]
    }

    /// # Errors
    /// When a node can't return because its port was taken meanwhile.
    pub(super) async fn act(&mut self, cue: NodeAction) -> io::Result<()> {
        match cue {
            NodeAction::StandStill(player) => {
                let node = self.node(player);
                node.set_head(node.head());
            }
            NodeAction::FallBack(player) => {
                let node = self.node(player);
                node.set_head(node.head().saturating_sub(BACKUP_AGE_BLOCKS));
            }
            NodeAction::CatchUp(player) => self.catching_up.push(player),
            NodeAction::Die(player) => self.node(player).refuse().await,
            NodeAction::Revive(player) => self.node(player).accept().await?,
            NodeAction::BeginSync(player) => self.node(player).set_syncing(true),
            NodeAction::EndSync(player) => self.node(player).set_syncing(false),
        }
        Ok(())
    }

    /// Moves on the nodes that are catching up: half of what is missing each time.
    pub(super) fn step(&mut self) {
        let chain_head = self.chain.head();
        let mut still = Vec::new();
        for player in std::mem::take(&mut self.catching_up) {
            let node = self.node(player);
            let missing = chain_head.saturating_sub(node.head());
            if missing <= 1 {
                node.set_lag(0);
            } else {
                node.set_head(node.head() + missing.div_ceil(2));
                still.push(player);
            }
        }
        self.catching_up = still;
    }
}

async fn start(chain: &Arc<FakeChain>, chain_id: u64, latency: Duration) -> io::Result<FakeNode> {
    let behaviour = Behaviour {
        chain_id,
        latency,
        ..Behaviour::default()
    };
    FakeNode::start(FakeConfig {
        behaviour,
        ..FakeConfig::following(chain)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_stands_still_falls_back_and_catches_up_in_steps() {
        let mut stage = DemoFleet::build(Duration::from_secs(3600)).await.unwrap();
        stage
            .act(NodeAction::StandStill(DemoNode::Two))
            .await
            .unwrap();
        stage.chain.advance(14);
        assert_eq!(stage.own[1].head(), FIRST_HEAD);
        stage.act(NodeAction::CatchUp(DemoNode::Two)).await.unwrap();
        let mut heads = Vec::new();
        for _ in 0..6 {
            stage.step();
            heads.push(stage.own[1].head() - FIRST_HEAD);
        }
        assert_eq!(heads, [7, 11, 13, 14, 14, 14]);
        assert!(stage.catching_up.is_empty());

        stage
            .act(NodeAction::FallBack(DemoNode::Three))
            .await
            .unwrap();
        let fallen = stage.chain.head() - BACKUP_AGE_BLOCKS;
        assert_eq!(stage.own[2].head(), fallen);
    }

    #[tokio::test]
    async fn the_nodes_are_written_down_by_name_weight_and_role() {
        let stage = DemoFleet::build(Duration::from_secs(1)).await.unwrap();
        let told: Vec<_> = stage
            .records()
            .into_iter()
            .map(|record| (record.name.unwrap(), record.weight.get(), record.role))
            .collect();
        let wanted = [
            ("node-1", 2, Role::Own),
            ("node-2", 1, Role::Own),
            ("node-3", 1, Role::Own),
            ("leader", 1, Role::Leader),
        ];
        assert_eq!(
            told,
            wanted.map(|(name, weight, role)| (name.to_string(), weight, role))
        );
    }
}
