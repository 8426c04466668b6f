//! What clients were told elsewhere: by this balancer before it was started again, and by others.

use crate::clock;
use crate::shared::fleet_state::FleetState;
use forebay_core::fleet::head_floor::HeadFloor;

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
}
