//! What the fleet shows: whose heads count, which heads calls may be held to, and the view.

use std::sync::Arc;

use super::{Entry, Fleet};
use crate::domain::chain::{BlockNumber, Source};
use crate::domain::node::Rung;
use crate::domain::odds::Odds;
use crate::domain::served::Witness;
use crate::domain::view::{FleetView, NodeView};

impl Fleet {
    /// Half of the weight of those that serve has them.
    pub(super) fn settle_tags(&mut self, begins_anew: bool) {
        let weighed = |tag: &dyn Fn(&Entry) -> Option<BlockNumber>| {
            let serving = self.entries.iter().filter(|entry| {
                let rung = entry.member.rung;
                rung == Rung::Own && self.serves(entry, rung)
            });
            let told = serving
                .filter_map(|entry| Some((tag(entry)?, u64::from(entry.member.weight.get()))));
            told.collect()
        };
        let (safe, finalized) = (weighed(&|e| e.safe), weighed(&|e| e.finalized));
        self.safe.hear(safe, begins_anew);
        self.finalized.hear(finalized, begins_anew);
    }

    /// What the nodes of our chain tell of the head. The best rung that has one fit carries it; where
    /// nobody is fit, all that live do.
    pub(super) fn witnesses(&self) -> Vec<Witness> {
        let rung = [Rung::Own, Rung::Leader, Rung::Fallback]
            .into_iter()
            .find(|rung| self.entries.iter().any(|e| self.serves(e, *rung)));
        let carries = |entry: &Entry| rung.map_or(entry.lives, |rung| self.serves(entry, rung));
        let witness = |entry: &Entry| {
            let weight = u64::from(entry.member.weight.get());
            Some(Witness {
                head: entry.head?,
                lives: entry.lives,
                weight: if carries(entry) { weight } else { 0 },
                has_fallen: entry.has_fallen(),
                is_rewritten: entry.is_rewritten(),
            })
        };
        self.entries
            .iter()
            .filter(|entry| self.is_ours(entry))
            .filter_map(witness)
            .collect()
    }

    /// Whether a node on `rung` gets calls in the normal run of things. One that turns out to be
    /// on another chain doesn't, be its next round still to come.
    pub(super) fn serves(&self, entry: &Entry, rung: Rung) -> bool {
        entry.member.rung == rung
            && entry.standing.is_healthy()
            && !entry.member.weight.drains()
            && !self.is_on_another_chain(entry)
    }

    /// What calls see from now on.
    pub fn view(&self) -> FleetView {
        let reference = self.reference.map(|reference| reference.number);
        let nodes = self.entries.iter().map(|entry| {
            let compare = self.forks.height_for(entry.member.id);
            entry.view(reference, self.is_on_another_chain(entry), compare)
        });
        let nodes: Vec<_> = nodes.collect();
        let served_head = self.served.head();
        FleetView {
            highest_head: self.highest_head(&nodes),
            odds: Odds::of(&nodes),
            nodes,
            reference: self.reference,
            served_head,
            safe_head: self.safe.head(),
            finalized_head: self.finalized.head(),
            net_version: self.net_version(),
            camps: self.forks.camps(),
            chain_id: self.chain_id(),
            rounds: self.rounds,
        }
    }

    /// What all say that have told. Where they differ, each call had better ask its node.
    fn net_version(&self) -> Option<Arc<str>> {
        let ours = self.entries.iter().filter(|entry| self.is_ours(entry));
        let mut told = ours.filter_map(|entry| entry.net_version.as_ref());
        let first = told.next()?;
        told.all(|other| other == first).then(|| first.clone())
    }

    /// A leader that is believed is the reference.
    fn highest_head(&self, nodes: &[NodeView]) -> Option<BlockNumber> {
        let fit = nodes
            .iter()
            .filter(|node| node.rung != Rung::Leader && node.serves());
        let leaders = self
            .reference
            .filter(|reference| reference.source == Source::Leader);
        fit.filter_map(|node| node.head)
            .chain(leaders.map(|reference| reference.number))
            .chain(self.served.head())
            .max()
    }
}
