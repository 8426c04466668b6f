//! What clients were told elsewhere: by this balancer before it was started again, and by others.

use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::handed_on::Handover;
use forebay_core::call::shared_news::ClientHash;
use forebay_core::fleet::head_floor::HeadFloor;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::chain::BlockNumber;

/// Where a transaction stands is handed on if that is a block so few behind the served head: what is deeper
/// all nodes have.
const DEEP_BLOCKS: u64 = 8;

impl FleetState {
    /// Clients were told of `floor` elsewhere. Where no node is known to have it, they are looked at.
    pub fn hear_floor(&self, floor: HeadFloor) {
        let view = &self.present.load().view;
        if view.rounds > 0 && Some(floor.number) <= view.served_head {
            return;
        }
        self.alter(|fleet| fleet.hear_floor(floor, clock::now()));
        self.look_for_floor();
    }

    /// Looks whether a node has the head that is shown without one, and shows less once its time is over.
    pub fn settle_floor(&self) {
        if self.present.load().view.floor_until.is_none() {
            return;
        }
        self.alter(|fleet| fleet.settle_floor(clock::now()));
    }

    fn look_for_floor(&self) {
        let view = &self.present.load().view;
        if let Some(head) = view.served_head.filter(|_| view.floor_until.is_some()) {
            self.looks.look_for(head, view.highest_head);
        }
    }

    /// From now on other balancers are told of what clients are told here.
    pub fn hand_on(&self, handover: Handover) {
        self.floors.hand_on(handover);
    }

    /// A client was told that the transaction stands in block `number`.
    pub fn tell_mined(&self, hash: TxHash, number: BlockNumber) {
        if let Some(handover) = self.floors.handover()
            && let view = &self.present.load().view
            && let Some(served) = view.served_head
            && number.0.saturating_add(DEEP_BLOCKS) > served.0
            && Some(number) <= view.believable_head
        {
            handover.mined(hash, number);
        }
    }

    /// Other balancers told these clients of these blocks. What is beyond reach isn't believed.
    pub fn hear_client_floors(&self, floors: &[(ClientHash, BlockNumber)]) {
        let view = &self.present.load().view;
        for (client, head) in floors {
            if Some(*head) <= view.reach {
                self.floors.hear(*client, *head, view.shown());
            }
        }
        let highest = floors.iter().map(|(_, head)| *head).max();
        let beyond =
            |head: &BlockNumber| Some(*head) > view.highest_head && Some(*head) <= view.reach;
        if let Some(head) = highest.filter(beyond) {
            self.looks.look_for(head, view.highest_head);
        }
    }
}
