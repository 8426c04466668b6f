//! The story that the demo tells: its chapters, and what happens to whom at which moment.
//!
//! Moments are written in sixtieths of the whole, so that a story of 60 s reads in seconds and any
//! other keeps its proportions. Nothing here waits or knows a node.

use std::time::Duration;

/// Below this the balancer's rounds are too slow for the story.
pub const LENGTH_MIN: Duration = Duration::from_secs(20);
pub const LENGTH_MAX: Duration = Duration::from_secs(3600);

const PARTS: u32 = 60;
/// Blocks come at least this often.
const BLOCK_TIME_MAX: Duration = Duration::from_secs(1);

/// One of the own nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    One,
    Two,
    Three,
}

impl Player {
    pub const ALL: [Player; 3] = [Player::One, Player::Two, Player::Three];

    pub fn name(self) -> &'static str {
        match self {
            Player::One => "node-1",
            Player::Two => "node-2",
            Player::Three => "node-3",
        }
    }

    pub fn weight(self) -> u64 {
        match self {
            Player::One => 2,
            Player::Two | Player::Three => 1,
        }
    }
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    StandStill(Player),
    /// Its head falls far back, as after a restored backup.
    FallBack(Player),
    CatchUp(Player),
    Die(Player),
    Revive(Player),
    BeginSync(Player),
    EndSync(Player),
}

impl Cue {
    pub fn sentence(self) -> String {
        let (player, what) = match self {
            Cue::StandStill(player) => (player, "stands still, while the chain grows"),
            Cue::FallBack(player) => (player, "falls back, as if restored from a backup"),
            Cue::CatchUp(player) => (player, "catches up with the chain"),
            Cue::Die(player) => (player, "dies: it refuses connections"),
            Cue::Revive(player) => (player, "is up again"),
            Cue::BeginSync(player) => (player, "says that it is syncing"),
            Cue::EndSync(player) => (player, "says that it has synced"),
        };
        format!("{} {what}", player.name())
    }
}

/// A part of the story.
#[derive(Debug, PartialEq, Eq)]
pub struct Chapter {
    begins: u32,
    pub title: &'static str,
    pub says: &'static str,
}

const CHAPTERS: [Chapter; 5] = [
    Chapter {
        begins: 0,
        title: "Calm",
        says: "Three own nodes share the calls by their weights, 2 to 1 to 1. The leader is only \
               asked how high the chain is.",
    },
    Chapter {
        begins: 8,
        title: "A node falls behind",
        says: "node-2 stops following the chain. More than 10 blocks behind the leader it gets no \
               calls, until it has caught up.",
    },
    Chapter {
        begins: 27,
        title: "A node dies",
        says: "node-3 refuses connections, and later returns. Calls that meet it are repeated on \
               another node: the caller notices nothing.",
    },
    Chapter {
        begins: 39,
        title: "All fall out",
        says: "One falls back 40 blocks, one dies, one has to sync. Without a fit own node the \
               leader takes over.",
    },
    Chapter {
        begins: 50,
        title: "They return",
        says: "With the first fit own node the leader is left alone again. Who returns gets few \
               calls at first: it is warming up.",
    },
];

const CUES: [(u32, Cue); 10] = [
    (9, Cue::StandStill(Player::Two)),
    (24, Cue::CatchUp(Player::Two)),
    (29, Cue::Die(Player::Three)),
    (35, Cue::Revive(Player::Three)),
    (40, Cue::FallBack(Player::Three)),
    (41, Cue::Die(Player::Two)),
    (42, Cue::BeginSync(Player::One)),
    (50, Cue::Revive(Player::Two)),
    (51, Cue::EndSync(Player::One)),
    (52, Cue::CatchUp(Player::Three)),
];

/// The story at its length, and how much of it has been told.
#[derive(Debug)]
pub struct Story {
    length: Duration,
    cues_told: usize,
}

impl Story {
    pub fn of(length: Duration) -> Story {
        Story {
            length,
            cues_told: 0,
        }
    }

    pub fn length(&self) -> Duration {
        self.length
    }

    /// Short enough for a node to fall more than 10 blocks behind within its chapter.
    pub fn block_time(&self) -> Duration {
        (self.length / PARTS).min(BLOCK_TIME_MAX)
    }

    fn moment(&self, part: u32) -> Duration {
        self.length * part / PARTS
    }

    /// The chapter at `elapsed`, and its number of how many.
    pub fn chapter(&self, elapsed: Duration) -> (usize, usize, &'static Chapter) {
        let begun = CHAPTERS
            .iter()
            .filter(|chapter| self.moment(chapter.begins) <= elapsed)
            .count()
            .max(1);
        (begun, CHAPTERS.len(), &CHAPTERS[begun - 1])
    }

    /// What has to happen by `elapsed` and hasn't yet.
    pub fn due(&mut self, elapsed: Duration) -> Vec<Cue> {
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
            let story = Story::of(Duration::from_secs(length));
            let number = |millis| story.chapter(Duration::from_millis(millis)).0;
            assert_eq!((number(0), number(second_begins - 1)), (1, 1));
            assert_eq!(number(second_begins), 2);
            assert_eq!(story.chapter(story.length()).0, CHAPTERS.len());
        }
    }

    #[test]
    fn each_cue_comes_once_and_in_its_chapter() {
        let mut story = Story::of(Duration::from_secs(60));
        assert_eq!(story.due(Duration::from_millis(8_999)), []);
        assert_eq!(
            story.due(Duration::from_secs(9)),
            [Cue::StandStill(Player::Two)]
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
        assert_eq!(CUES[0].1, Cue::StandStill(Player::Two));
        for length in [LENGTH_MIN, Duration::from_secs(60), LENGTH_MAX] {
            let story = Story::of(length);
            assert!(
                story.moment(stands) >= story.block_time() * 14,
                "{length:?}"
            );
        }
    }

    #[test]
    fn every_node_ends_well() {
        let mut out: Vec<Player> = Vec::new();
        for (_, cue) in CUES {
            match cue {
                Cue::StandStill(player)
                | Cue::FallBack(player)
                | Cue::Die(player)
                | Cue::BeginSync(player) => out.push(player),
                Cue::CatchUp(player) | Cue::Revive(player) | Cue::EndSync(player) => {
                    assert!(out.contains(&player), "{cue:?}");
                    out.retain(|other| *other != player);
                }
            }
        }
        assert_eq!(out, []);
    }
}
