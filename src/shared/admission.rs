//! The admission of a chain: how much of its calls may be inside at once.
//!
//! What is sent to us is counted as it comes, whether its length was announced or not (a chunked
//! body, the fragments of a message): an announcement is only a word, and a client that announces
//! much and sends nothing takes no room from others. What has come is always within the limit. Chains
//! share the limits of the process, each with a reserve ([`process_limits`](super::process_limits)).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::callers::{Caller, SHARE};
use crate::shared::answer_budget::AnswerBudget;
use crate::shared::process_admission::ProcessAdmission;
use crate::shared::process_limits::{ChainShare, Resource};
use forebay_core::vocabulary::caps::Caps;

/// A body up to this length, in bytes, finds room where longer ones have taken all that is theirs: a quiet
/// client's calls are short.
const SHORT_BYTES_MAX: usize = 4 << 10;
/// The part of the room that is left for them: as many as may be inside at once.
const SHORT_PART: u64 = 6;
/// What an answer that waits for its client holds at least, in bytes.
const UNSENT_BYTES_MIN: usize = 4 << 10;

/// Counts what is inside.
#[derive(Debug)]
pub struct Admission {
    process: Arc<ProcessAdmission>,
    share: Arc<ChainShare>,
    /// So that one caller of two chains is two.
    salt: u64,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission::new(Caps::ROOMY)
    }
}

/// Bytes that are held without a request's place; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes<'a> {
    admission: &'a Admission,
    bytes: usize,
}

/// One request's place inside, with the bytes of its body; given back when dropped. It ends with the
/// work: an answer that its client doesn't take holds no place.
#[derive(Debug)]
pub struct Permit<'a> {
    held: HeldBytes<'a>,
    caller: Caller,
}

/// What waits for a client to take it; given back when dropped.
#[derive(Debug)]
pub struct UnsentBytes<'a> {
    admission: &'a Admission,
    caller: Caller,
    bytes: u64,
}

impl Admission {
    /// Of one chain alone.
    pub fn new(caps: Caps) -> Admission {
        let share = ChainShare::alone(&caps);
        Admission::of(Arc::new(ProcessAdmission::new(caps)), Arc::new(share), 0)
    }

    /// Of a chain with a `share` in what there is; `salt`: another one for each.
    pub fn of(process: Arc<ProcessAdmission>, share: Arc<ChainShare>, salt: u64) -> Admission {
        Admission {
            process,
            share,
            salt,
        }
    }

    pub fn process(&self) -> &Arc<ProcessAdmission> {
        &self.process
    }

    /// The chain's part of what there is.
    pub(super) fn share(&self) -> &ChainShare {
        &self.share
    }

    pub fn caps(&self) -> &Caps {
        self.process.caps()
    }

    /// The caller at `address`, for whatever is shared among callers.
    pub fn caller(&self, address: Option<IpAddr>) -> Caller {
        self.process.callers.at(address, self.salt)
    }

    /// Lets one request in; `None` when the process is full, or what room there is isn't for a caller
    /// that has so much of it already.
    pub fn enter(&self, caller: Caller) -> Option<Permit<'_>> {
        if !self.share.take(Resource::Requests, 1) {
            return None;
        }
        let own = &self.process.usage(caller).requests;
        let own_before = own.fetch_add(1, Ordering::Relaxed) as u64;
        let held = HeldBytes {
            admission: self,
            bytes: 0,
        };
        let permit = Permit { held, caller };
        self.is_fair(Resource::Requests, own_before, 1)
            .then_some(permit)
    }

    /// Whether a caller that has `own`, without the `amount` that it has just taken, may have it.
    fn is_fair(&self, of: Resource, own: u64, amount: u64) -> bool {
        let before = self.share.own(of).saturating_sub(amount);
        let is_less = |left: u64| own < left.saturating_mul(SHARE as u64);
        is_less(self.share.left_of_reserve(of, before))
            || is_less(self.share.left_in_all(of, before, amount))
    }

    /// Room for an answer of `bytes` until its client has taken it; `None` when there is none, or
    /// the client has so much of it already.
    pub fn unsent(&self, caller: Caller, bytes: usize) -> Option<UnsentBytes<'_>> {
        let bytes = bytes.max(UNSENT_BYTES_MIN) as u64;
        self.hold_unsent(caller, bytes).then(|| UnsentBytes {
            admission: self,
            caller,
            bytes,
        })
    }

    /// As [`Admission::unsent`], but the code that takes it must release it.
    pub fn hold_unsent(&self, caller: Caller, bytes: u64) -> bool {
        if !self.share.take(Resource::Unsent, bytes) {
            return false;
        }
        let own = &self.process.usage(caller).unsent_bytes;
        let own_before = own.fetch_add(bytes, Ordering::Relaxed);
        let fits = self.is_fair(Resource::Unsent, own_before, bytes);
        if !fits {
            self.release_unsent(caller, bytes);
        }
        fits
    }

    /// Gives room back that was held.
    pub fn release_unsent(&self, caller: Caller, bytes: u64) {
        self.share.give(Resource::Unsent, bytes);
        let own = &self.process.usage(caller).unsent_bytes;
        own.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of answers that wait for their clients.
    pub fn unsent_bytes(&self) -> u64 {
        self.share.own(Resource::Unsent)
    }

    /// Takes room for `bytes` of a body; `false` when there is none. The code that takes it must release it.
    pub fn hold(&self, bytes: usize) -> bool {
        self.hold_more(0, bytes)
    }

    /// As [`Admission::hold`], where `own` of it is held already: what is long leaves room for what is short.
    pub fn hold_more(&self, own: usize, bytes: usize) -> bool {
        let bodies = self.share.limits().most(Resource::Bodies);
        let most = match own.saturating_add(bytes) > SHORT_BYTES_MAX {
            true => bodies - bodies / SHORT_PART,
            false => bodies,
        };
        self.share.take_within(Resource::Bodies, bytes as u64, most)
    }

    /// Takes room of whatever kind, for tests of what happens when there is none.
    #[cfg(test)]
    pub fn fill(&self, bytes: usize) {
        self.share.fill(Resource::Bodies, bytes as u64);
    }

    /// Room for `bytes`, for as long as the result is held; `None` when there is none.
    pub fn load(&self, bytes: usize) -> Option<HeldBytes<'_>> {
        self.hold(bytes).then(|| HeldBytes {
            admission: self,
            bytes,
        })
    }

    /// Gives room back that was held.
    pub fn release(&self, bytes: usize) {
        self.share.give(Resource::Bodies, bytes as u64);
    }

    /// Room for up to `bytes_max` bytes of answers.
    pub fn answer_budget(&self, bytes_max: u64) -> AnswerBudget<'_> {
        AnswerBudget::new(&self.share, bytes_max)
    }

    pub fn requests(&self) -> usize {
        count(self.share.own(Resource::Requests))
    }

    /// Bytes of request bodies inside.
    pub fn bytes(&self) -> usize {
        count(self.share.own(Resource::Bodies))
    }

    /// Bytes of nodes' answers that are held whole.
    pub fn answers_bytes(&self) -> u64 {
        self.share.own(Resource::Answers)
    }

    /// See [`ProcessAdmission::ends_connections`].
    pub fn ends_connections(&self) -> bool {
        self.process.ends_connections()
    }

    /// See [`ProcessAdmission::is_leaving`].
    pub fn is_leaving(&self) -> bool {
        self.process.is_leaving()
    }
}

impl HeldBytes<'_> {
    /// Takes room for so many bytes in all; `false` when there is none.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.hold(bytes.saturating_sub(self.bytes))
    }

    fn hold(&mut self, bytes: usize) -> bool {
        let has_room = self.admission.hold_more(self.bytes, bytes);
        if has_room {
            self.bytes += bytes;
        }
        has_room
    }
}

impl Permit<'_> {
    /// Takes room for `bytes` more; `false` when there is none.
    pub fn hold(&mut self, bytes: usize) -> bool {
        self.held.hold(bytes)
    }
}

fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let admission = self.held.admission;
        admission.share.give(Resource::Requests, 1);
        let own = &admission.process.usage(self.caller).requests;
        own.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for UnsentBytes<'_> {
    fn drop(&mut self) {
        self.admission.release_unsent(self.caller, self.bytes);
    }
}

impl Drop for HeldBytes<'_> {
    fn drop(&mut self) {
        self.admission.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::shared::callers::SHARE;

    const REQUESTS: usize = 40;

    fn admission() -> Admission {
        Admission::new(Caps {
            requests: REQUESTS,
            bodies: 100,
            answers: 100,
            unsent: 100 << 10,
            ..Caps::ROOMY
        })
    }

    fn caller(admission: &Admission, last: u8) -> Caller {
        admission.caller(Some(IpAddr::from([10, 0, 0, last])))
    }

    #[test]
    fn one_caller_has_his_share_of_places_and_others_find_theirs() {
        let admission = admission();
        let (greedy, quiet) = (caller(&admission, 1), caller(&admission, 2));
        let mut inside: Vec<_> = std::iter::from_fn(|| admission.enter(greedy)).collect();
        assert_eq!(inside.len(), REQUESTS * SHARE / (SHARE + 1));
        let first = admission.enter(quiet);
        assert!(first.is_some() && admission.enter(greedy).is_none());
        inside.pop();
        assert!(admission.enter(quiet).is_some());
        drop(inside);
        drop(first);
        assert_eq!(admission.requests(), 0);
        assert!(admission.enter(greedy).is_some());
    }

    #[test]
    fn the_process_is_full_at_its_limit_and_has_room_again_when_one_leaves() {
        let admission = admission();
        let enter =
            |turn: usize| admission.enter(caller(&admission, u8::try_from(turn % 200).unwrap()));
        let mut inside: Vec<_> = (0..1000).filter_map(enter).collect();
        assert_eq!(inside.len(), REQUESTS);
        inside.pop();
        assert!((0..200).any(|turn| enter(turn).is_some()));
    }

    #[test]
    fn what_waits_for_a_client_holds_no_place_and_is_bounded_for_each_and_in_all() {
        let admission = admission();
        let (greedy, quiet) = (caller(&admission, 1), caller(&admission, 2));
        let waiting: Vec<_> = std::iter::from_fn(|| admission.unsent(greedy, 1)).collect();
        assert_eq!(waiting.len(), 19, "4 KiB each, three quarters of 100");
        assert!(admission.unsent(quiet, 8 << 10).is_some());
        assert_eq!(
            (admission.requests(), admission.unsent_bytes()),
            (0, 19 * 4096)
        );
        assert!(
            admission.unsent(quiet, 30 << 10).is_none(),
            "more than is left"
        );
        drop(waiting);
        assert_eq!(admission.unsent_bytes(), 0);
    }

    #[test]
    fn bytes_are_held_to_the_limit_and_given_back() {
        let admission = admission();
        let mut one = admission.enter(caller(&admission, 1)).unwrap();
        assert!(one.hold(99));
        let mut other = admission.enter(caller(&admission, 2)).unwrap();
        assert!(!other.hold(2));
        assert!(other.hold(1));
        assert_eq!(admission.bytes(), 100);
        drop(one);
        assert_eq!(admission.bytes(), 1);
        assert!(other.hold(99));
        let mut load = admission.load(0).unwrap();
        assert!(!load.grow(1));
        drop(other);
        assert!(load.grow(60) && load.grow(40) && admission.bytes() == 60);
        drop(load);
        assert_eq!(admission.bytes(), 0);
    }

    #[test]
    fn what_is_long_leaves_room_for_what_is_short() {
        let bodies = 600 << 10;
        let admission = Admission::new(Caps {
            bodies,
            ..Caps::ROOMY
        });
        let mut long = admission.enter(caller(&admission, 1)).unwrap();
        assert!(!long.hold(bodies * 5 / 6 + 1));
        assert!(long.hold(bodies * 5 / 6) && !long.hold(1));
        assert!(!admission.load(0).unwrap().grow(SHORT_BYTES_MAX + 1));
        let short = || {
            let mut permit = admission.enter(caller(&admission, 2)).unwrap();
            permit.hold(SHORT_BYTES_MAX).then_some(permit)
        };
        let inside: Vec<_> = std::iter::from_fn(short).collect();
        assert_eq!(inside.len(), 25, "as many as there is room for");
        drop((long, inside));
        assert_eq!(admission.bytes(), 0);
    }

    #[test]
    fn all_short_bodies_that_may_be_inside_at_once_find_room() {
        for mebibytes in [64, 256, 2048, 16 << 10] {
            let caps = Caps::of(mebibytes << 20);
            let short = ((caps.requests + caps.sockets.min(10_000)) * SHORT_BYTES_MAX) as u64;
            assert!(
                short <= caps.bodies as u64 / SHORT_PART,
                "{mebibytes}: {caps:?}"
            );
        }
    }
}
