//! Answers that another balancer has kept: where one may be given here it is kept here, too.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::call::answer::ServedAnswer;
use crate::call::cached;
use crate::call::context::{CallContext, CallState};
use crate::clock;
use crate::shared::answer_cache::AnswerCache;
use crate::shared::stored_answers::StoredAnswers;
use forebay_core::call::cache::keeping::KeptReply;
use forebay_core::call::cache::{CachePlan, KeptAnswer, adopting};
use forebay_core::call::plan::Plan;
use forebay_core::rpc::envelope::Call;

/// Of one batch so many calls' answers are looked for.
const BATCH_MAX: usize = 64;

/// What is shared, where calls like this can have anything of it now.
fn sources<'a>(
    state: &'a CallState,
    context: &CallContext<'_>,
) -> Option<(&'a AnswerCache, &'a StoredAnswers)> {
    let cache = state.cache.as_deref().filter(|_| !context.wants_fresh)?;
    let stored = cache.stored.as_deref()?;
    stored.is_on().then_some((cache, stored))
}

/// Whether [`find`] would look.
pub fn is_on(state: &CallState, context: &CallContext<'_>) -> bool {
    sources(state, context).is_some()
}

/// The answer to `call`, planned so, that another balancer has kept, if it is found in time and may be given.
pub async fn find(
    state: &CallState,
    call: &Call<'_>,
    plan: &CachePlan,
    context: CallContext<'_>,
) -> Option<ServedAnswer> {
    let found = find_one(state, call, plan, context).await?;
    Some(cached::give(state, found, &context))
}

async fn find_one(
    state: &CallState,
    call: &Call<'_>,
    plan: &CachePlan,
    context: CallContext<'_>,
) -> Option<KeptAnswer> {
    adopt(state, call, plan, context).await?;
    let found = cached::find(state, plan, &state.fleet.peek().view, &context)?;
    state.metrics.method(Some(plan.row)).cache_shared_hit();
    Some(found)
}

/// The same for calls of a batch: what is found is given.
pub async fn find_all<'a>(
    state: &CallState,
    calls: impl Iterator<Item = (&'a Call<'a>, &'a mut Plan)>,
    context: CallContext<'_>,
) {
    let mut looks: FuturesUnordered<_> = calls
        .take(BATCH_MAX)
        .map(async |(call, plan)| {
            let found = match plan.kept() {
                Some(kept) => find_one(state, call, kept, context).await,
                None => None,
            };
            if let Some(found) = found {
                *plan = Plan::Give(found);
            }
        })
        .collect();
    while looks.next().await.is_some() {}
}

/// Takes an answer over; `None`: there was none.
async fn adopt(
    state: &CallState,
    call: &Call<'_>,
    plan: &CachePlan,
    context: CallContext<'_>,
) -> Option<()> {
    let (cache, stored) = sources(state, &context)?;
    let params = call.params();
    let asked = &state.fleet.snapshot().view;
    let found = stored.find(plan, params, asked).await?;
    let snapshot = state.fleet.snapshot();
    let view = &snapshot.view;
    let node = view.nodes.iter().find(|node| node.name == found.node)?;
    let (answer, now) = (&found.answer, clock::now());
    let reply = KeptReply::of(answer)?;
    let terms = adopting::terms(plan, params, &reply, (node, view, now))?;
    cache.keep(plan, &terms, answer, now);
    // It may have been let go of before it was here; where that is heard of later, it is found here.
    let is_current = stored.is_current(&found, plan);
    if !is_current {
        cache.forget(plan);
    }
    is_current.then_some(())
}
