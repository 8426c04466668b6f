//! The story that the demo tells: its chapters, and what happens to which node at which moment.
//!
//! Moments are written in sixtieths of the whole, so that a story of 60 s reads in seconds and any
//! other keeps its proportions. Nothing here waits or knows a node.

use std::time::Duration;

/// Below this the balancer's rounds are too slow for the story.
pub(super) const LENGTH_MIN: Duration = Duration::from_secs(20);
pub(super) const LENGTH_MAX: Duration = Duration::from_secs(3600);

const PARTS: u32 = 60;
/// Blocks come at least this often.
const BLOCK_TIME_MAX: Duration = Duration::from_secs(1);

/// One of the own nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DemoNode {
    One,
    Two,
    Three,
}

impl DemoNode {
    pub(super) const ALL: [DemoNode; 3] = [DemoNode::One, DemoNode::Two, DemoNode::Three];

    pub(super) fn name(self) -> &'static str {
        match self {
            DemoNode::One => "node-1",
            DemoNode::Two => "node-2",
            DemoNode::Three => "node-3",
        }
    }

    pub(super) fn weight(self) -> u64 {
        match self {
            DemoNode::One => 2,
            DemoNode::Two | DemoNode::Three => 1,
        }
    }
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeAction {
    StandStill(DemoNode),
    /// Its head falls far back, as after a restored backup.
    FallBack(DemoNode),
    CatchUp(DemoNode),
    Die(DemoNode),
    Revive(DemoNode),
    BeginSync(DemoNode),
    EndSync(DemoNode),
}

impl NodeAction {
    pub(super) fn sentence(self) -> String {
        let (player, what) = match self {
            NodeAction::StandStill(player) => (player, "stands still, while the chain grows"),
            NodeAction::FallBack(player) => (player, "falls back, as if restored from a backup"),
            NodeAction::CatchUp(player) => (player, "catches up with the chain"),
            NodeAction::Die(player) => (player, "dies: it refuses connections"),
            NodeAction::Revive(player) => (player, "is up again"),
            NodeAction::BeginSync(player) => (player, "says that it is syncing"),
            NodeAction::EndSync(player) => (player, "says that it has synced"),
        };
        format!("{} {what}", player.name())
    }
}

/// A part of the story.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScenarioPhase {
    begins: u32,
    pub title: &'static str,
    pub says: &'static str,
}

const CHAPTERS: [ScenarioPhase; 5] = [
    ScenarioPhase {
        begins: 0,
        title: "Calm",
        says: "Three own nodes share the calls by their weights, 2 to 1 to 1. The leader is only \
               asked how high the chain is.",
    },
    ScenarioPhase {
        begins: 8,
        title: "A node falls behind",
        says: "node-2 stops following the chain. More than 10 blocks behind the leader it gets no \
               calls, until it has caught up.",
    },
    ScenarioPhase {
        begins: 27,
        title: "A node dies",
        says: "node-3 refuses connections, and later returns. Calls that meet it are repeated on \
               another node: the caller notices nothing.",
    },
    ScenarioPhase {
        begins: 39,
        title: "All fall out",
        says: "One falls back 40 blocks, one dies, one has to sync. Without a fit own node the \
               leader takes over.",
    },
    ScenarioPhase {
        begins: 50,
        title: "They return",
        says: "With the first fit own node the leader is left alone again. A node that returns gets few \
               calls at first: it is warming up.",
    },
];

const CUES: [(u32, NodeAction); 10] = [
    (9, NodeAction::StandStill(DemoNode::Two)),
    (24, NodeAction::CatchUp(DemoNode::Two)),
    (29, NodeAction::Die(DemoNode::Three)),
    (35, NodeAction::Revive(DemoNode::Three)),
    (40, NodeAction::FallBack(DemoNode::Three)),
    (41, NodeAction::Die(DemoNode::Two)),
    (42, NodeAction::BeginSync(DemoNode::One)),
    (50, NodeAction::Revive(DemoNode::Two)),
    (51, NodeAction::EndSync(DemoNode::One)),
    (52, NodeAction::CatchUp(DemoNode::Three)),
];

/// The story at its length, and how much of it has been told.
#[derive(Debug)]
pub(super) struct Scenario {
    length: Duration,
    cues_told: usize,
}

impl Scenario {
    pub(super) fn of(length: Duration) -> Scenario {
        Scenario {
            length,
            cues_told: 0,
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Short enough for a node to fall more than 10 blocks behind within its chapter.
    pub(super) fn block_time(&self) -> Duration {
        (self.length / PARTS).min(BLOCK_TIME_MAX)
    }

    fn moment(&self, part: u32) -> Duration {
        self.length * part / PARTS
    }

    /// The chapter at `elapsed`, and its number of how many.
    pub(super) fn chapter(&self, elapsed: Duration) -> (usize, usize, &'static ScenarioPhase) {
        let begun = CHAPTERS
            .iter()
            .filter(|chapter| self.moment(chapter.begins) <= elapsed)
            .count()
            .max(1);
        (begun, CHAPTERS.len(), &CHAPTERS[begun - 1])
    }

    /// What has to happen by `elapsed` and hasn't yet.
    pub(super) fn due(&mut self, elapsed: Duration) -> Vec<NodeAction> {
        let due: Vec<_> = CUES
            .iter()
            .skip(self.cues_told)
            .take_while(|(part, _)| self.moment(*part) <= elapsed)
            .map(|(_, cue)| *cue)
            .collect();
        self.cues_told += due.len();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_of_a_minute_reads_in_seconds_and_others_keep_its_proportions() {
        for (length, second_begins) in [(60, 8_000), (30, 4_000), (3600, 480_000)] {
            let story = Scenario::of(Duration::from_secs(length));
            let number = |millis| story.chapter(Duration::from_millis(millis)).0;
            assert_eq!((number(0), number(second_begins - 1)), (1, 1));
            assert_eq!(number(second_begins), 2);
            assert_eq!(story.chapter(story.length()).0, CHAPTERS.len());
        }
    }

    #[test]
    fn each_cue_comes_once_and_in_its_chapter() {
        let mut story = Scenario::of(Duration::from_secs(60));
        assert_eq!(story.due(Duration::from_millis(8_999)), []);
        assert_eq!(
            story.due(Duration::from_secs(9)),
            [NodeAction::StandStill(DemoNode::Two)]
        );
        assert_eq!(story.due(Duration::from_secs(9)), []);
        assert_eq!(story.due(story.length()).len(), CUES.len() - 1);
        assert_eq!(story.due(Duration::MAX), []);
    }

    #[test]
    fn chapters_and_cues_stand_in_the_order_of_time() {
        assert!(CHAPTERS.is_sorted_by_key(|chapter| chapter.begins));
        assert!(CUES.is_sorted_by_key(|(part, _)| *part));
        assert!(CUES.iter().all(|(part, _)| *part < PARTS));
    }

    #[test]
    fn a_node_that_stands_still_falls_over_ten_blocks_behind_in_every_length() {
        let stands = CUES[1].0 - CUES[0].0;
        assert_eq!(CUES[0].1, NodeAction::StandStill(DemoNode::Two));
        for length in [LENGTH_MIN, Duration::from_secs(60), LENGTH_MAX] {
            let story = Scenario::of(length);
            assert!(
                story.moment(stands) >= story.block_time() * 14,
                "{length:?}"
            );
        }
    }

    #[test]
    fn every_node_ends_well() {
        let mut out: Vec<DemoNode> = Vec::new();
        for (_, cue) in CUES {
            match cue {
                NodeAction::StandStill(player)
                | NodeAction::FallBack(player)
                | NodeAction::Die(player)
                | NodeAction::BeginSync(player) => out.push(player),
                NodeAction::CatchUp(player)
                | NodeAction::Revive(player)
                | NodeAction::EndSync(player) => {
                    assert!(out.contains(&player), "{cue:?}");
                    out.retain(|other| *other != player);
                }
            }
        }
        assert_eq!(out, []);
    }
}
