//! A plan for one call: its way, alone or in a batch. On it [`retry`](crate::call::retry) says what comes next.

mod forward;
mod local;
mod memory;

use crate::call::cache::subject::CacheSubject;
use crate::call::cache::{CachePlan, CacheRules, KeepDecision, KeptAnswer};
use crate::call::filter::{self, FilterReference, FilterUse};
use crate::call::last_block::{BY_HASH, is_lookup};
use crate::call::nonce::{self, FILL, MissingNonce};
use crate::fleet::view::FleetView;
use crate::method::block::{self, BlockParam, BlockRefs, FutureBlockPolicy, TagPins};
use crate::method::{self, MethodIndex, MethodRules, Treatment};
use crate::rpc::envelope::Call;
use crate::rpc::refusal::Refusal;
use crate::rpc::transaction::{self, Address, TxHash};
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::client::Client;
use crate::vocabulary::node::NodeId;

pub use self::forward::{Affinity, ForwardPlan};
pub use self::memory::{CallMemory, SentTransactions};

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Answer it here; the result as JSON.
    Answer(String),
    /// Give this one again that is kept.
    Give(KeptAnswer),
    /// Ask no node: the client gets this refusal.
    Refuse(Refusal),
    /// Ask one node after another until one answers.
    Forward(ForwardPlan),
    /// The same, once for all that ask the same while clients are shown `head`.
    Share {
        /// How nodes are asked.
        forward: ForwardPlan,
        /// The served head when the call was planned; `None`: no head is known.
        head: Option<BlockNumber>,
    },
    /// The same, for a transaction or for what became of it, which nodes may hold back.
    LookUp(ForwardPlan, TxHash),
    /// Tell the highest of several nodes' counts of this account's transactions; where there are not
    /// several, forward the call.
    CountNonces(ForwardPlan, Option<Address>),
    /// Forward it, with the nonce written in that its transaction lacks.
    FillNonce(ForwardPlan, MissingNonce),
    /// Ask the one node that has the filter.
    Sticky(NodeId, FilterReference),
    /// Send the raw transaction to several nodes at once.
    Broadcast,
    /// No node is known to have this block yet, but it may be there any moment: to be planned anew once
    /// they were looked at.
    AwaitBlock(BlockNumber, AbsenceAnswer),
    /// Begin a subscription.
    Subscribe,
    /// End one.
    Unsubscribe,
}

impl Plan {
    /// How one node after another is asked, where the call comes to that.
    pub fn forward(&self) -> Option<&ForwardPlan> {
        match self {
            Plan::Forward(forward)
            | Plan::Share { forward, .. }
            | Plan::LookUp(forward, _)
            | Plan::CountNonces(forward, _)
            | Plan::FillNonce(forward, _) => Some(forward),
            Plan::Answer(_)
            | Plan::Give(_)
            | Plan::Refuse(_)
            | Plan::Sticky(..)
            | Plan::Broadcast
            | Plan::AwaitBlock(..)
            | Plan::Subscribe
            | Plan::Unsubscribe => None,
        }
    }

    /// How its answer is kept, if it is.
    pub fn kept(&self) -> Option<&CachePlan> {
        self.forward()?.keep.plan()
    }

    /// The transaction that is looked up, or what became of it.
    pub fn looks_up(&self) -> Option<TxHash> {
        if let Plan::LookUp(_, hash) = self {
            return Some(*hash);
        }
        None
    }

    /// How nodes are asked for the call together with others of its batch; `None`: it goes its own way. `polls`:
    /// look-ups do. `has_own_limits`: the settings say other times for its method than for the rest.
    pub fn together(&self, polls: bool, has_own_limits: bool) -> Option<&ForwardPlan> {
        let is_poll = polls && self.looks_up().is_some();
        self.forward()
            .filter(|it| it.may_be_grouped && !is_poll && !has_own_limits)
    }
}

/// A plan, and what its call is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The row of its method, for the metrics.
    pub row: MethodIndex,
    /// As the table and the settings say.
    pub treatment: Treatment,
    /// What becomes of the call.
    pub plan: Plan,
}

/// What calls are planned by.
#[derive(Clone, Copy, Debug)]
pub struct PlanContext<'a, M> {
    /// The fleet at the moment of planning.
    pub view: &'a FleetView,
    /// The method table, as the settings have changed it.
    pub rules: &'a MethodRules,
    /// Those of the call's request.
    pub pins: &'a TagPins,
    /// Whether nodes that are not fit are asked when no other is left.
    pub fails_open: bool,
    /// The client whose call it is: nodes that took its transactions are asked rather than others.
    pub client: Client,
    /// Whether news can be sent to it.
    pub has_socket: bool,
    /// By what answers are kept; `None`: none is.
    pub cache: Option<&'a CacheRules>,
    /// Whether no kept answer will do: the one that comes takes its place.
    pub wants_fresh: bool,
    /// What earlier calls left behind.
    pub memory: &'a M,
}

/// What a look-up of a block that no node has comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsenceAnswer {
    /// The result `null`.
    Null,
    /// It is the end of a range.
    Future,
}

impl AbsenceAnswer {
    /// What becomes of the call when the block hasn't come.
    pub fn settled(self) -> Plan {
        match self {
            AbsenceAnswer::Null => Plan::Answer("null".into()),
            AbsenceAnswer::Future => Plan::Refuse(Refusal::InvalidParams(FUTURE)),
        }
    }
}

/// As geth says it.
const REVERSED: &str = "invalid block range";
const FUTURE: &str = "block range extends beyond current head block";

/// Plans a call.
pub fn plan<M: CallMemory>(call: &Call<'_>, by: &PlanContext<'_, M>) -> Planned {
    let (row, treatment) = by.rules.look_up(&call.method);
    let is_served = || by.view.is_for(&call.method);
    let plan = match treatment {
        Treatment::Denied => Plan::Refuse(Refusal::MethodNotAllowed),
        Treatment::Local(local) => local::answer(local, by).unwrap_or_else(|| {
            if !is_served() {
                return Plan::Refuse(Refusal::MethodNotServed);
            }
            // What isn't known here is asked as a read, but never together with others.
            let forward = ForwardPlan {
                may_be_hedged: method::listed(row).is_some_and(|method| method.may_be_hedged),
                ..Treatment::Read.into()
            };
            way(call, row, forward, by)
        }),
        Treatment::Broadcast if is_served() => Plan::Broadcast,
        Treatment::Read | Treatment::Heavy | Treatment::Once | Treatment::Unknown
            if is_served() =>
        {
            ask(call, row, treatment, by)
        }
        Treatment::Broadcast
        | Treatment::Read
        | Treatment::Heavy
        | Treatment::Once
        | Treatment::Unknown => Plan::Refuse(Refusal::MethodNotServed),
    };
    Planned {
        row,
        treatment,
        plan,
    }
}

fn ask<M: CallMemory>(
    call: &Call<'_>,
    row: MethodIndex,
    treatment: Treatment,
    by: &PlanContext<'_, M>,
) -> Plan {
    let is_read = treatment == Treatment::Read;
    let Some(method) = method::listed(row) else {
        let forward = ForwardPlan {
            may_be_grouped: is_read,
            ..treatment.into()
        };
        return way(call, row, forward, by);
    };
    let (view, pins) = (by.view, by.pins);
    let block_refs = block::read(method.place, (call.params, &call.elements), pins);
    if block_refs.is_reversed && method.beyond == FutureBlockPolicy::Refuse {
        return Plan::Refuse(Refusal::InvalidParams(REVERSED));
    }
    let highest = view.highest_head.max(pins.latest);
    let beyond = (block_refs.need.zip(highest))
        .and_then(|(need, highest)| (need.to > highest).then_some(need.to));
    let keep = match kept((call, row), &block_refs, by) {
        Ok(answer) => return Plan::Give(answer),
        Err(keep) => keep,
    };
    let forward = match (method.beyond, beyond) {
        (FutureBlockPolicy::Refuse, Some(number)) => {
            return absent(AbsenceAnswer::Future, number, view);
        }
        (FutureBlockPolicy::Null, Some(number)) => {
            return absent(AbsenceAnswer::Null, number, view);
        }
        (FutureBlockPolicy::Wait | FutureBlockPolicy::PassOn, _)
        | (FutureBlockPolicy::Null | FutureBlockPolicy::Refuse, None) => ForwardPlan {
            treatment,
            block: block_refs.need,
            hash: block_refs.hash.map(Box::new),
            wait: match beyond {
                None => Some(view.block_wait),
                Some(number) if method.beyond == FutureBlockPolicy::Wait => view.wait_for(number),
                Some(_) => None,
            },
            edits: block_refs.edits,
            asks_again_on_null: method.asks_again_on_null || block_refs.hash.is_some(),
            asks_again_on_empty: false,
            holding: method.holding,
            asks_again_on_no_bytes: method.asks_again_on_null,
            is_never_null: method.is_never_null,
            is_range: matches!(method.place, BlockParam::Range { .. }),
            is_pending: block_refs.is_pending,
            affinity: Affinity::Any,
            may_be_hedged: is_read && method.may_be_hedged,
            may_be_grouped: is_read,
            keep,
        },
    };
    way(call, row, forward, by)
}

/// The answer that is kept for a call whose params say this of blocks; else whether the one that comes is.
fn kept<M: CallMemory>(
    (call, row): (&Call<'_>, MethodIndex),
    refs: &BlockRefs,
    by: &PlanContext<'_, M>,
) -> Result<KeptAnswer, KeepDecision> {
    let rules = by.cache.ok_or(KeepDecision::Never)?;
    let subject = CacheSubject::of((call, row), refs, by.view, rules).ok_or(KeepDecision::Never)?;
    let asked = subject.as_asked(call);
    // By what is asked by hash a node is found out that says something else.
    let is_worth_it = subject.is_by_hash || by.memory.note_asked(asked);
    if !is_worth_it && !by.wants_fresh && !by.memory.is_shared() {
        return Err(KeepDecision::NotYet(asked.row));
    }
    subject.find(call, rules, |plan| match by.wants_fresh {
        true => None,
        false => by.memory.kept(plan, by.view),
    })
}

/// The way of a call that nodes are asked for.
fn way<M: CallMemory>(
    call: &Call<'_>,
    row: MethodIndex,
    mut forward: ForwardPlan,
    by: &PlanContext<'_, M>,
) -> Plan {
    let (view, memory) = (by.view, by.memory);
    let is_once = forward.treatment == Treatment::Once;
    if is_once && filter::part_of(&call.method) == Some(FilterUse::Following) {
        let followed = call.params.and_then(filter::unwrap);
        let there = followed.and_then(|filter| Some((filter.node(view)?, filter)));
        let refused = Plan::Refuse(Refusal::FilterNotFound);
        return there.map_or(refused, |(node, filter)| Plan::Sticky(node, filter));
    }
    let looked_up = call.params.filter(|_| is_lookup(&call.method));
    let looked_up = looked_up.and_then(transaction::hash_asked);
    if let Some(hash) = forward.hash.as_ref().map(|hashed| hashed.hash) {
        let number = memory.number_of(hash);
        forward.stands_in(number.or_else(|| view.told.number_of(hash)), view);
    } else if is_lookup(&call.method) {
        forward.stands_in(looked_up.and_then(|hash| memory.place_of(hash)), view);
    }
    let is_sharable = method::listed(row).is_some_and(|method| method.may_be_shared);
    if is_sharable && !forward.is_pending {
        let head = by.pins.latest.or(view.served_head);
        return match by.wants_fresh {
            // What is in flight may come out of the store that balancers share.
            true => Plan::Forward(forward),
            false => Plan::Share { forward, head },
        };
    }
    let holders = sent(call, &forward, looked_up, by.client).map(|of| memory.holders(of));
    if let Some(holders) = holders.filter(|holders| !holders.is_empty()) {
        forward.affinity = Affinity::Rather(holders);
        forward.may_be_grouped = false;
    }
    if nonce::is_pending(&call.method, forward.is_pending) {
        forward.may_be_grouped = false;
        let sender = call.params.and_then(transaction::address_asked);
        return Plan::CountNonces(forward, sender);
    }
    if call.method == FILL {
        forward.may_be_grouped = false;
        return match call.params.and_then(nonce::missing) {
            Some(missing) => Plan::FillNonce(forward, missing),
            None => Plan::Forward(forward),
        };
    }
    match looked_up {
        Some(hash) => Plan::LookUp(forward, hash),
        None => Plan::Forward(forward),
    }
}

/// The transactions that a call finds at the nodes which took them: one that was sent through here,
/// and, where it reads the pool, this client's.
fn sent(
    call: &Call<'_>,
    forward: &ForwardPlan,
    looked_up: Option<TxHash>,
    client: Client,
) -> Option<SentTransactions> {
    match &*call.method {
        BY_HASH => looked_up.map(SentTransactions::WithHash),
        "eth_getTransactionBySenderAndNonce" => call
            .params
            .and_then(transaction::nonce_asked)
            .map(|(sender, nonce)| SentTransactions::WithNonce(sender, nonce)),
        _ if forward.is_pending || call.method == FILL => Some(SentTransactions::Of(client)),
        _ => None,
    }
}

/// What becomes of a look-up of block `number`, which no node has.
fn absent(absence: AbsenceAnswer, number: BlockNumber, view: &FleetView) -> Plan {
    match view.wait_for(number) {
        Some(_) => Plan::AwaitBlock(number, absence),
        None => absence.settled(),
    }
}

#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod ways_tests;

#[cfg(test)]
mod tests {
    use AbsenceAnswer::{Future, Null};
    use Plan::{Answer, AwaitBlock, Refuse};

    use super::*;
    use crate::call::tag_pins;
    use crate::method::block::Consistency;
    use crate::rpc::answer::RpcError;
    use crate::testing::{self, NoMemory};
    use crate::vocabulary::block_ref::BlockData;
    use crate::vocabulary::chain::ChainId;
    use crate::vocabulary::node::NodeId;

    fn planned(method: &str, view: &FleetView) -> Plan {
        planned_with(method, None, view, Consistency::Monotonic)
    }

    fn planned_with(
        method: &str,
        params: Option<&str>,
        view: &FleetView,
        consistency: Consistency,
    ) -> Plan {
        let call = Call::new(Some("1"), method, params);
        let pins = tag_pins::of(view, consistency, None);
        let rules = MethodRules::new(vec![], vec![], vec![]);
        plan(&call, &by(view, &rules, &pins)).plan
    }

    fn by<'a>(
        view: &'a FleetView,
        rules: &'a MethodRules,
        pins: &'a TagPins,
    ) -> PlanContext<'a, NoMemory> {
        PlanContext {
            view,
            rules,
            pins,
            fails_open: true,
            client: Client::Unknown,
            has_socket: true,
            cache: None,
            wants_fresh: false,
            memory: &NoMemory,
        }
    }

    /// What a local method comes to that isn't known here.
    fn asked(view: &FleetView) -> Plan {
        Plan::Share {
            forward: ForwardPlan {
                may_be_hedged: true,
                ..Treatment::Read.into()
            },
            head: view.served_head,
        }
    }

    /// Served head 100, highest 101, the head of the one node.
    fn at_100() -> FleetView {
        let now = testing::now();
        let mut fleet = testing::fleet_of([testing::called(1, "a")], now);
        fleet.hear_round(&[(NodeId(1), testing::at(101))], now);
        FleetView {
            served_head: Some(BlockNumber(100)),
            ..fleet.view()
        }
    }

    #[test]
    fn while_no_node_is_fit_tags_travel_as_they_are() {
        let mut view = at_100();
        assert!(
            tag_pins::of(&view, Consistency::Monotonic, None)
                .latest
                .is_some()
        );
        view.nodes.clear();
        let floor = Some(BlockNumber(100));
        let pins = tag_pins::of(&view, Consistency::Monotonic, floor);
        assert_eq!(pins, TagPins::default());
    }

    fn forward_plan(method: &str, params: &str, consistency: Consistency) -> ForwardPlan {
        let plan = planned_with(method, Some(params), &at_100(), consistency);
        let forward = plan.forward().cloned();
        forward.unwrap_or_else(|| panic!("{method} {params}: {plan:?}"))
    }

    #[test]
    fn latest_is_pinned_unless_it_is_to_be_none() {
        let call = |consistency| forward_plan("eth_call", r#"[{},"latest"]"#, consistency);
        let plan = call(Consistency::Monotonic);
        assert!(plan.wait.is_some() && !plan.edits.is_empty());
        assert_eq!(plan.block.map(|need| need.to), Some(BlockNumber(100)));
        let none = call(Consistency::None);
        assert!(none.edits.is_empty() && none.block.is_none());
    }

    #[test]
    fn what_lies_beyond_the_highest_head_is_waited_for_refused_or_null() {
        let plan =
            |method, params| planned_with(method, Some(params), &at_100(), Consistency::Monotonic);
        let awaited = |absence| AwaitBlock(BlockNumber(0x66), absence);
        let refused = |why| Refuse(Refusal::InvalidParams(why));
        let null = || Answer("null".into());
        for (method, params, wanted) in [
            (
                "eth_getLogs",
                r#"[{"fromBlock":"0x1","toBlock":"0x66"}]"#,
                awaited(Future),
            ),
            ("eth_getLogs", r#"[{"fromBlock":"0x66"}]"#, awaited(Future)),
            ("eth_getBlockByNumber", r#"["0x66",false]"#, awaited(Null)),
            ("eth_getBlockReceipts", r#"["0x66"]"#, awaited(Null)),
            (
                "eth_getLogs",
                r#"[{"fromBlock":"0x1","toBlock":"0xffffffffff"}]"#,
                refused(FUTURE),
            ),
            ("eth_getLogs", r#"[{"fromBlock":"0x6f"}]"#, refused(FUTURE)),
            (
                "eth_getLogs",
                r#"[{"fromBlock":"0x2","toBlock":"0x1"}]"#,
                refused(REVERSED),
            ),
            ("eth_getBlockByNumber", r#"["0x6f",false]"#, null()),
            ("eth_getBlockReceipts", r#"["0x6f"]"#, null()),
        ] {
            assert_eq!(plan(method, params), wanted, "{method} {params}");
        }
        for (method, params, waits) in [
            ("eth_getBalance", r#"["0x1","0x66"]"#, true),
            ("eth_feeHistory", r#"["0x1","0x66",[]]"#, false),
            ("eth_newFilter", r#"[{"fromBlock":"0x66"}]"#, false),
            ("eth_getBlockByNumber", r#"["0x65",false]"#, true),
            (
                "eth_getLogs",
                r#"[{"fromBlock":"0x1","toBlock":"0x65"}]"#,
                true,
            ),
        ] {
            let plan = forward_plan(method, params, Consistency::Monotonic);
            assert_eq!(plan.wait.is_some(), waits, "{method} {params}");
        }
    }

    #[test]
    fn what_was_told_of_a_block_says_which_node_is_asked_and_if_nothing_is_believed() {
        let hash = format!("\"0x{}\"", "ab".repeat(32));
        let told = |method: &str, params: &str, number: Option<u64>| {
            let mut plan = forward_plan(method, params, Consistency::Monotonic);
            plan.stands_in(number.map(BlockNumber), &at_100());
            plan
        };
        let logs = format!("[{{\"blockHash\":{hash}}}]");
        let known = told("eth_getLogs", &logs, Some(101));
        let need = known.block.map(|need| (need.to.0, need.reads));
        assert_eq!(need, Some((101, BlockData::Receipts)));
        assert!(!known.is_doubtful("eth_getLogs", b"[]"));
        for number in [None, Some(102)] {
            let unknown = told("eth_getLogs", &logs, number);
            assert_eq!(unknown.block, None, "no node can have it yet");
            assert!(unknown.is_doubtful("eth_getLogs", b"[]"));
            assert!(!unknown.is_doubtful("eth_getLogs", b"[{}]"));
        }
        let call = told("eth_call", &format!("[{{}},{hash}]"), None);
        assert!(
            !call.is_doubtful("eth_call", b"\"0x\""),
            "a node that lacks it says so"
        );
        let count = "eth_getBlockTransactionCountByHash";
        assert!(told(count, &format!("[{hash}]"), Some(5)).is_doubtful(count, b"null"));
        let mined = told("eth_getTransactionReceipt", &format!("[{hash}]"), Some(100));
        assert_eq!(mined.block.map(|need| need.reads), Some(BlockData::Head));
        let by_hash = forward_plan(BY_HASH, &format!("[{hash}]"), Consistency::Monotonic);
        assert!(by_hash.is_doubtful(BY_HASH, br#"{"blockNumber":null}"#));
        assert!(!by_hash.is_doubtful(BY_HASH, br#"{"blockNumber":"0x1"}"#));
    }

    #[test]
    fn what_we_wrote_into_a_call_is_to_blame_for_errors_of_its_params_only() {
        let error = |code, message: &'static str| RpcError {
            code,
            message: message.into(),
            data: None,
        };
        let added = forward_plan("eth_estimateGas", "[{}]", Consistency::Monotonic);
        let written = forward_plan("eth_estimateGas", r#"[{},"0x1"]"#, Consistency::Monotonic);
        for (code, message, wanted) in [
            (-32602, "too many arguments, want at most 1", true),
            (-32000, "Expected 1 parameter", true),
            (-32602, "wrong", true),
            (
                -32602,
                "invalid argument 0: hex string without 0x prefix",
                false,
            ),
            (3, "execution reverted", false),
            (-32000, "insufficient funds", false),
        ] {
            assert_eq!(
                added.is_to_blame(&error(code, message)),
                wanted,
                "{message}"
            );
            assert!(!written.is_to_blame(&error(code, message)), "{message}");
        }
    }

    #[test]
    fn only_a_filter_of_logs_gets_its_missing_ends() {
        let travels_as_it_is = |method| {
            let plan = forward_plan(method, "[{}]", Consistency::Monotonic);
            plan.edits.is_empty() && plan.block.is_none()
        };
        assert!(!travels_as_it_is("eth_getLogs"));
        assert!(travels_as_it_is("eth_newFilter"));
        assert!(travels_as_it_is("trace_filter"));
    }

    #[test]
    fn a_call_that_reads_what_is_pending_is_known() {
        let is_pending =
            |method, params| forward_plan(method, params, Consistency::Monotonic).is_pending;
        assert!(is_pending("eth_call", r#"[{},"pending"]"#));
        assert!(is_pending(
            "eth_getBalance",
            r#"["0x1",{"blockNumber":"pending"}]"#
        ));
        assert!(is_pending("eth_getBlockByNumber", r#"["pending",true]"#));
        assert!(!is_pending("eth_call", r#"[{"data":"pending"},"latest"]"#));
    }

    #[test]
    fn net_version_is_answered_once_it_is_known() {
        let view = FleetView {
            net_version: Some("4\"2".into()),
            ..FleetView::default()
        };
        assert_eq!(planned("net_version", &view), Answer(r#""4\"2""#.into()));
    }

    #[test]
    fn one_request_has_one_head() {
        let mut view = at_100();
        let pins = tag_pins::of(&view, Consistency::Monotonic, None);
        view.served_head = Some(BlockNumber(101));
        let call = Call::new(None, "eth_call", Some(r#"[{}]"#));
        let rules = MethodRules::new(vec![], vec![], vec![]);
        let planned = plan(&call, &by(&view, &rules, &pins));
        let plan = planned.plan.forward().expect("asked");
        assert_eq!(plan.block.map(|need| need.to), Some(BlockNumber(100)));
    }

    #[test]
    fn what_we_know_is_answered_here_and_what_we_do_not_is_asked() {
        let view = FleetView {
            chain_id: Some(ChainId(10)),
            ..FleetView::default()
        };
        assert_eq!(planned("eth_chainId", &view), Answer("\"0xa\"".into()));
        assert_eq!(
            planned("eth_chainId", &FleetView::default()),
            asked(&FleetView::default())
        );
        assert_eq!(planned("eth_syncing", &view), asked(&view));
        assert_eq!(planned("eth_blockNumber", &view), asked(&view));
        assert_eq!(planned("net_version", &view), asked(&view));
        assert_eq!(planned("eth_accounts", &view), Answer("[]".into()));
    }

    #[test]
    fn an_old_head_is_not_told_when_no_node_lives() {
        let view = FleetView {
            served_head: Some(BlockNumber(7)),
            ..FleetView::default()
        };
        assert_eq!(planned("eth_blockNumber", &view), Refuse(Refusal::NoNode));
    }

    #[test]
    fn what_no_node_is_for_is_refused_without_an_attempt() {
        let mut view = at_100();
        assert!(view.nodes.iter().all(|node| node.methods.is_all()));
        for node in &mut view.nodes {
            node.methods = "eth_*,!eth_getLogs".parse().unwrap();
        }
        let refused = Refuse(Refusal::MethodNotServed);
        for method in ["eth_getLogs", "net_version", "zks_foo", "trace_block"] {
            assert_eq!(planned(method, &view), refused, "{method}");
        }
        assert_ne!(planned("eth_call", &view), refused);
        assert_ne!(planned("eth_sendRawTransaction", &view), refused);
        assert!(matches!(planned("web3_clientVersion", &view), Answer(_)));
        assert_ne!(planned("eth_getLogs", &FleetView::default()), refused);
    }

    #[test]
    fn a_denied_method_is_refused_and_an_unknown_one_passed_on() {
        let view = FleetView::default();
        assert_eq!(
            planned("admin_peers", &view),
            Refuse(Refusal::MethodNotAllowed)
        );
        assert_eq!(
            planned("zks_foo", &view),
            Plan::Forward(Treatment::Unknown.into())
        );
    }
}
