//! What each client was told of beyond the head that all are shown: its next call finds no less.
//!
//! Others aren't held to it: were the head that one client met all clients', the one node that has it
//! would get all calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::client::Client;

/// A client that the chain doesn't catch up with is held to its floor no longer than this.
pub const TIME_MAX: Duration = Duration::from_secs(600);

/// One client's.
#[derive(Clone, Copy, Debug)]
struct ClientFloor {
    head: BlockNumber,
    /// How often the chain had gone back by then: what was told before says nothing after.
    falls: u64,
    at: Instant,
}

/// What all are shown now.
#[derive(Clone, Copy, Debug)]
pub struct PublishedHead {
    /// The served head.
    pub head: BlockNumber,
    /// How often it has gone back.
    pub falls: u64,
}

/// The floors of many clients, up to a number.
#[derive(Debug)]
pub struct ClientFloors {
    clients_max: usize,
    floors: HashMap<Client, ClientFloor>,
}

impl ClientFloors {
    /// Of at most `clients_max` clients at once.
    pub fn new(clients_max: usize) -> ClientFloors {
        ClientFloors {
            clients_max,
            floors: HashMap::new(),
        }
    }

    /// `client` was told of block `head`; whether that is news of it. Where there is no room, its next call
    /// may find less: no other client's does.
    pub fn lift(
        &mut self,
        client: Client,
        head: BlockNumber,
        shown: PublishedHead,
        now: Instant,
    ) -> bool {
        if client == Client::Unknown || head <= shown.head {
            return false;
        }
        let is_new = !self.floors.contains_key(&client);
        if is_new && self.floors.len() >= self.clients_max {
            self.floors.retain(|_, floor| floor.counts(shown, now));
            if self.floors.len() >= self.clients_max {
                return false;
            }
        }
        let told = ClientFloor {
            head,
            falls: shown.falls,
            at: now,
        };
        let floor = self.floors.entry(client).or_insert(told);
        let is_news = is_new || !floor.counts(shown, now) || floor.head < head;
        if is_news {
            *floor = told;
        }
        is_news
    }

    /// What `client` must not be shown less than, where that is more than all are shown.
    pub fn of(&self, client: Client, shown: PublishedHead, now: Instant) -> Option<BlockNumber> {
        let floor = self.floors.get(&client)?;
        floor.counts(shown, now).then_some(floor.head)
    }
}

impl ClientFloor {
    fn counts(&self, shown: PublishedHead, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.at);
        self.head > shown.head && self.falls == shown.falls && age <= TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::client;

    fn shown(head: u64, falls: u64) -> PublishedHead {
        let head = BlockNumber(head);
        PublishedHead { head, falls }
    }

    fn of(floors: &ClientFloors, number: u64, shown: PublishedHead, now: Instant) -> Option<u64> {
        floors.of(client(number), shown, now).map(|head| head.0)
    }

    #[test]
    fn a_client_is_held_to_what_it_was_told_and_no_other_is() {
        let now = crate::testing::now();
        let mut floors = ClientFloors::new(10);
        floors.lift(client(1), BlockNumber(102), shown(100, 0), now);
        floors.lift(client(1), BlockNumber(101), shown(100, 0), now);
        let of = |number, at| of(&floors, number, at, now);
        assert_eq!(of(1, shown(100, 0)), Some(102));
        assert_eq!(of(1, shown(102, 0)), None, "all are shown it");
        assert_eq!(of(1, shown(100, 1)), None, "the chain went back");
        assert_eq!(of(2, shown(100, 0)), None);
        let later = now + TIME_MAX + Duration::from_secs(1);
        assert_eq!(floors.of(client(1), shown(100, 0), later), None);
    }

    #[test]
    fn at_the_limit_those_that_count_no_more_make_room_and_the_others_stay() {
        let now = crate::testing::now();
        let mut floors = ClientFloors::new(2);
        for (number, head) in [(1, 101), (2, 103), (3, 102)] {
            floors.lift(client(number), BlockNumber(head), shown(100, 0), now);
        }
        assert_eq!(of(&floors, 1, shown(100, 0), now), Some(101));
        assert_eq!(floors.of(client(3), shown(100, 0), now), None, "no room");
        floors.lift(client(3), BlockNumber(104), shown(101, 0), now);
        assert_eq!(of(&floors, 3, shown(101, 0), now), Some(104));
        assert_eq!(of(&floors, 2, shown(101, 0), now), Some(103));
        assert_eq!(floors.floors.len(), 2);
        floors.lift(Client::Unknown, BlockNumber(200), shown(101, 0), now);
        assert_eq!(floors.of(Client::Unknown, shown(101, 0), now), None);
    }

    #[test]
    fn what_is_told_after_a_fall_counts_though_it_is_lower() {
        let now = crate::testing::now();
        let mut floors = ClientFloors::new(2);
        floors.lift(client(1), BlockNumber(110), shown(100, 0), now);
        floors.lift(client(1), BlockNumber(99), shown(98, 1), now);
        assert_eq!(of(&floors, 1, shown(98, 1), now), Some(99));
    }
}
