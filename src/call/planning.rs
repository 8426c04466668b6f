//! Plans a call by what its chain knows now. What is decided is the core's.

use crate::call::cached;
use crate::call::context::{CallContext, CallState};
use forebay_core::call::cache::{AskedCall, CachePlan, KeptAnswer};
use forebay_core::call::plan::{self, CallMemory, PlanContext, Planned, SentTransactions};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::node::NodeId;

/// Plans a call by its context, whose pins are set.
pub fn plan(
    state: &CallState,
    call: &Call<'_>,
    view: &FleetView,
    context: CallContext<'_>,
) -> Planned {
    let by = PlanContext {
        view,
        rules: &context.policy.rules,
        pins: &context.pins.unwrap_or_default(),
        fails_open: context.policy.fails_open(),
        client: context.client,
        has_socket: context.subscriber.is_some(),
        cache: context.policy.cache.as_ref(),
        wants_fresh: context.wants_fresh,
        memory: &EarlierCalls {
            state,
            context: &context,
        },
    };
    plan::plan(call, &by)
}

/// What earlier calls left behind for one like this.
struct EarlierCalls<'a> {
    state: &'a CallState,
    context: &'a CallContext<'a>,
}

impl CallMemory for EarlierCalls<'_> {
    fn note_asked(&self, call: AskedCall<'_>) -> bool {
        (self.state.cache.as_ref()).is_none_or(|cache| cache.recurrence.note_asked(call))
    }

    fn is_shared(&self) -> bool {
        self.state
            .cache
            .as_ref()
            .is_some_and(|cache| cache.is_shared())
    }

    fn kept(&self, plan: &CachePlan, view: &FleetView) -> Option<KeptAnswer> {
        cached::find(self.state, plan, view, self.context)
    }

    fn number_of(&self, block: BlockHash) -> Option<BlockNumber> {
        self.state.fleet.told.number_of(block)
    }

    fn place_of(&self, transaction: TxHash) -> Option<BlockNumber> {
        self.state.fleet.told.place_of(transaction)
    }

    fn holders(&self, of: SentTransactions) -> Vec<NodeId> {
        let recent_writes = &self.state.recent_writes;
        match of {
            SentTransactions::WithHash(hash) => recent_writes.holders(hash),
            SentTransactions::WithNonce(sender, nonce) => recent_writes.holders_of(sender, nonce),
            SentTransactions::Of(client) => recent_writes.holders_for(client),
        }
    }
}
