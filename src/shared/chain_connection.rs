//! A connection counts as the chain's that it calls, from when that is known: its head says so.

use std::sync::Arc;

use crate::shared::admission::Admission;
use crate::shared::process_limits::Resource;

/// A connection's place among its chain's; given back when dropped.
#[derive(Debug)]
pub struct ChainConnection {
    admission: Arc<Admission>,
}

impl ChainConnection {
    /// `None` when the chain has as many as it may.
    fn take(admission: &Arc<Admission>) -> Option<ChainConnection> {
        let has_room = admission.share().take(Resource::Connections, 1);
        has_room.then(|| ChainConnection {
            admission: admission.clone(),
        })
    }

    /// Lets the connection with this `place` be of the chain behind `admission` from now on; `false` when that has as
    /// many as it may: then it stays what it was.
    pub fn settle(place: &mut Option<ChainConnection>, admission: &Arc<Admission>) -> bool {
        if place
            .as_ref()
            .is_some_and(|place| Arc::ptr_eq(&place.admission, admission))
        {
            return true;
        }
        let Some(taken) = ChainConnection::take(admission) else {
            return false;
        };
        *place = Some(taken);
        true
    }
}

impl Drop for ChainConnection {
    fn drop(&mut self) {
        self.admission.share().give(Resource::Connections, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::process_admission::ProcessAdmission;
    use crate::shared::process_limits::ProcessLimits;
    use forebay_core::vocabulary::caps::Caps;

    fn admissions() -> [Arc<Admission>; 2] {
        let caps = Caps {
            connections: 16,
            ..Caps::ROOMY
        };
        let process = Arc::new(ProcessAdmission::new(caps));
        let limits = ProcessLimits::new(&caps);
        let shares = [1, 2].map(|salt| (Arc::new(limits.share()), salt));
        shares.map(|(share, salt)| Arc::new(Admission::of(process.clone(), share, salt)))
    }

    fn fill(admission: &Arc<Admission>) -> Vec<Option<ChainConnection>> {
        let mut places = Vec::new();
        loop {
            let mut place = None;
            if !ChainConnection::settle(&mut place, admission) {
                return places;
            }
            places.push(place);
        }
    }

    #[test]
    fn one_chain_leaves_another_its_reserve_of_connections_and_all_have_no_more_than_there_are() {
        let [one, other] = admissions();
        let ones = fill(&one);
        // A quarter of its own, and three quarters of the half that is shared.
        assert_eq!(ones.len(), 10);
        let others = fill(&other);
        assert!(others.len() >= 4, "{}", others.len());
        assert!(ones.len() + others.len() <= 16);
        drop((ones, others));
        assert_eq!(one.share().limits().taken(Resource::Connections), 0);
        assert_eq!(fill(&one).len(), 10, "all were given back");
    }

    #[test]
    fn a_connection_counts_once_as_that_chains_which_it_called_last() {
        let [one, other] = admissions();
        let mut place = None;
        for _ in 0..3 {
            assert!(ChainConnection::settle(&mut place, &one));
        }
        let counts =
            || [&one, &other].map(|admission| admission.share().own(Resource::Connections));
        assert_eq!(counts(), [1, 0]);
        assert!(ChainConnection::settle(&mut place, &other));
        assert_eq!(counts(), [0, 1]);
        let full = fill(&one);
        assert!(!ChainConnection::settle(&mut place, &one));
        assert_eq!(counts(), [full.len() as u64, 1], "it stays what it was");
    }
}
