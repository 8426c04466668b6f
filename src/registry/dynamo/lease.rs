//! The lease: which of several balancers writes health for all. The core decides; here it is looked
//! at and taken in the state table.

use crate::clock;
use crate::registry::dynamo::error::DynamoError;
use crate::registry::dynamo::{DynamoRegistry, state_table};
use forebay_core::vocabulary::lease::{Lease, LeaseAction, LeaseParticipant};

impl DynamoRegistry {
    pub(super) async fn keep_lease(&self) -> Result<bool, DynamoError> {
        let mut tenancy = self.tenancy.lock().await;
        let held = tenancy.holds(clock::now());
        let kept = self.keep(&mut tenancy).await;
        match kept {
            Ok(true) if !held => log::info!("this balancer writes health for all from now on"),
            Ok(false) if held => log::info!("another balancer writes health from now on"),
            Ok(_) => {}
            Err(_) => tenancy.retry(),
        }
        kept
    }

    async fn keep(&self, tenancy: &mut LeaseParticipant) -> Result<bool, DynamoError> {
        let (store, now) = (&self.store, clock::now());
        let (old, beat) = match tenancy.due(now) {
            LeaseAction::Rest => return Ok(tenancy.holds(now)),
            LeaseAction::Beat(beat) => (Some(self.lease(beat)), beat + 1),
            LeaseAction::Look => {
                let found = state_table::lease(store).await?;
                if !tenancy.find(found.as_ref(), clock::now()) {
                    return Ok(false);
                }
                let beat = found.as_ref().map_or(1, |lease| lease.beat + 1);
                (found, beat)
            }
        };
        if !self.take_lease(tenancy, old.as_ref(), beat).await? {
            // A beat of ours may stand there whose answer was lost: then no other balancer has the lease.
            let found = state_table::lease(store).await?;
            match found.filter(|lease| lease.holder == self.me) {
                Some(own) if self.take_lease(tenancy, Some(&own), own.beat + 1).await? => {}
                Some(_) | None => tenancy.lose(),
            }
        }
        Ok(tenancy.holds(clock::now()))
    }

    /// Writes `beat` where `old` stands; says whether it did.
    async fn take_lease(
        &self,
        tenancy: &mut LeaseParticipant,
        old: Option<&Lease>,
        beat: u64,
    ) -> Result<bool, DynamoError> {
        let sent_at = clock::now();
        let stands = state_table::take_lease(&self.store, old, &self.lease(beat)).await?;
        if stands {
            tenancy.take(beat, sent_at);
        }
        Ok(stands)
    }

    fn lease(&self, beat: u64) -> Lease {
        Lease {
            holder: self.me.clone(),
            beat,
        }
    }
}
