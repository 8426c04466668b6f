//! What a call does whose identical one in flight, for whose answer it waits, has come to none.

use std::net::IpAddr;

use crate::rpc::refusal::Refusal;

/// What it does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerStep {
    /// Takes the refusal: it would have fared alike.
    TakeRefusal,
    /// Joins the flight that the first of those that wait begins.
    JoinAgain,
    /// Asks for itself.
    GoAlone,
}

/// A call that waits for another's answer.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    /// Places are given by network.
    network: Option<IpAddr>,
    /// Refusals of callers from other networks for want of a place.
    refused_places: u32,
}

impl Follower {
    /// A call from `network`.
    pub fn new(network: Option<IpAddr>) -> Follower {
        Follower {
            network,
            refused_places: 0,
        }
    }

    /// The call that it waited for, of `network`, was refused. Where there was no place for it, a caller from
    /// another network may have its turn yet: however many flood with the same call, one that doesn't waits for
    /// two of them at most.
    pub fn hear_refused(&mut self, why: &Refusal, network: Option<IpAddr>) -> FollowerStep {
        match why {
            // It had less time left.
            Refusal::Timeout => FollowerStep::JoinAgain,
            Refusal::OverCapacity if network != self.network => {
                self.refused_places += 1;
                match self.refused_places {
                    1 => FollowerStep::JoinAgain,
                    _ => FollowerStep::GoAlone,
                }
            }
            _ => FollowerStep::TakeRefusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_caller_is_not_turned_away_for_a_flooders_identical_call() {
        let [flooder, quiet] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let full = Refusal::OverCapacity;
        let mut alike = Follower::new(flooder);
        let step = alike.hear_refused(&full, flooder);
        assert_eq!(step, FollowerStep::TakeRefusal);
        let mut other = Follower::new(quiet);
        let unserved = other.hear_refused(&Refusal::Unserved, flooder);
        assert_eq!(unserved, FollowerStep::TakeRefusal);
        let steps = [(); 2].map(|()| other.hear_refused(&full, flooder));
        assert_eq!(steps, [FollowerStep::JoinAgain, FollowerStep::GoAlone]);
        let step = other.hear_refused(&full, quiet);
        assert_eq!(step, FollowerStep::TakeRefusal, "of its own network");
    }

    #[test]
    fn one_that_has_time_left_asks_again_however_often_others_run_out_of_it() {
        let mut follower = Follower::new(None);
        for _ in 0..3 {
            let step = follower.hear_refused(&Refusal::Timeout, None);
            assert_eq!(step, FollowerStep::JoinAgain);
        }
    }
}
