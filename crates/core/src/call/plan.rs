//! A plan for one call. After it nothing is decided outside the core.

use std::time::Duration;

use crate::call::last_block::BY_HASH;
use crate::call::tag_fallback;
use crate::call::told_blocks;
use crate::fleet::depth::LookupTarget;
use crate::fleet::reference::BlockNumber;
use crate::fleet::{FleetView, NodeView};
use crate::method::block::{
    self, BlockData, BlockParam, BlockRange, FutureBlockPolicy, HashedBlock, ParamEdits, TagPins,
};
use crate::method::{self, LocalMethod, MethodIndex, MethodRules, Treatment};
use crate::rpc::answer::RpcError;
use crate::rpc::envelope::Call;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::hex;
use crate::vocabulary::node::Role;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Answer it here; the result as JSON.
    Answer(String),
    Refuse(Refusal),
    Ask(ForwardPlan),
    /// Nobody has the block yet, but it may come any moment: to be planned anew after the next round.
    Soon(AbsenceAnswer),
    /// Begin a subscription.
    Subscribe,
    /// End one.
    Unsubscribe,
}

/// What a look-up of a block comes to that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsenceAnswer {
    Null,
    /// It is the end of a range.
    Future,
}

impl AbsenceAnswer {
    /// The result, as JSON.
    ///
    /// # Errors
    /// It is refused.
    pub fn settled(self) -> Result<&'static str, Refusal> {
        match self {
            AbsenceAnswer::Null => Ok("null"),
            AbsenceAnswer::Future => Err(Refusal::InvalidParams(FUTURE)),
        }
    }
}

/// How nodes are to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardPlan {
    pub treatment: Treatment,
    /// The blocks that the node must have.
    pub block: Option<BlockRange>,
    /// A block that is named by its hash instead.
    pub hash: Option<HashedBlock>,
    /// How long the call waits for a node that has them; `None`: not at all.
    pub wait: Option<Duration>,
    /// What is changed in its params.
    pub edits: ParamEdits,
    /// A `null` is asked about once more.
    pub asks_again_on_null: bool,
    /// And an empty answer, which a node without the block gives, too.
    pub asks_again_on_empty: bool,
    /// And no bytes, which is what it says that lacks a raw block or transaction.
    pub asks_again_on_no_bytes: bool,
    /// Where that is found.
    pub holding: LookupTarget,
    /// Its answer is never `null`.
    pub is_never_null: bool,
    /// It asks for a range, of which nodes may limit the breadth.
    pub is_range: bool,
    /// It reads what is pending: an answer of a moment before won't do.
    pub is_pending: bool,
}

impl ForwardPlan {
    /// What is asked for stands in block `number`, as far as that is known: a node that has the block
    /// is asked, and believed when it has nothing there.
    pub fn stands_in(&mut self, number: Option<BlockNumber>, view: &FleetView) {
        let number = number.filter(|number| Some(*number) <= view.highest_head);
        let reads = self.hash.map_or(BlockData::Head, |hashed| hashed.reads);
        // Whoever lacks a block's state says so.
        self.asks_again_on_empty =
            self.hash.is_some() && reads != BlockData::State && number.is_none();
        if let Some(number) = number {
            self.block = Some(BlockRange {
                from: number,
                to: number,
                reads,
            });
        }
    }

    /// Whether a node that lacks what is asked for would say `result`, too.
    pub fn is_doubtful(&self, method: &str, result: &[u8]) -> bool {
        match result {
            b"null" => self.asks_again_on_null,
            b"\"0x\"" => self.asks_again_on_empty || self.asks_again_on_no_bytes,
            b"[]" => self.asks_again_on_empty,
            result => method == BY_HASH && told_blocks::is_in_no_block(result),
        }
    }

    /// Whether `error` may be of what is changed in the params: a node that takes fewer of them
    /// refuses what was left out, and that we added.
    pub fn is_to_blame(&self, error: &RpcError<'_>) -> bool {
        if self.edits.is_empty() || tag_fallback::is_no_such_block(error) {
            return false;
        }
        let text = error.message.to_ascii_lowercase();
        let says = |word: &&str| text.contains(*word);
        let is_of_params = matches!(error.code, -32602 | -32600)
            || ["argument", "parameter", "params"].iter().any(says);
        // What geth says of the first is of what the caller wrote.
        is_of_params && !text.starts_with("invalid argument 0")
    }

    /// `call` as a node gets it: our id, an envelope written anew, the params with their changes.
    pub fn body(&self, call: &Call<'_>) -> Vec<u8> {
        let mut body = call.opening();
        for piece in self.edits.pieces(call.params()) {
            body.extend_from_slice(piece);
        }
        body.push(b'}');
        body
    }
}

impl From<Treatment> for ForwardPlan {
    fn from(treatment: Treatment) -> ForwardPlan {
        ForwardPlan {
            treatment,
            block: None,
            hash: None,
            wait: None,
            edits: ParamEdits::default(),
            asks_again_on_null: false,
            asks_again_on_empty: false,
            holding: LookupTarget::default(),
            asks_again_on_no_bytes: false,
            is_never_null: false,
            is_range: false,
            is_pending: false,
        }
    }
}

/// What `web3_clientVersion` says.
const CLIENT_VERSION: &str = concat!("\"forebay/", env!("CARGO_PKG_VERSION"), "\"");
/// As geth says it.
const REVERSED: &str = "invalid block range";
const FUTURE: &str = "block range extends beyond current head block";

/// Plans a call; also the row of its method, for the metrics. `pins` are those of its packet.
pub fn plan(
    call: &Call<'_>,
    view: &FleetView,
    rules: &MethodRules,
    pins: &TagPins,
    fails_open: bool,
) -> (MethodIndex, Plan) {
    let (row, treatment) = rules.look_up(&call.method);
    let plan = match treatment {
        Treatment::Denied => Plan::Refuse(Refusal::MethodNotAllowed),
        Treatment::Local(local) => answer(local, view, pins, fails_open),
        Treatment::Read
        | Treatment::Heavy
        | Treatment::Broadcast
        | Treatment::Once
        | Treatment::Unknown => ask(call, row, treatment, view, pins),
    };
    (row, plan)
}

fn ask(
    call: &Call<'_>,
    row: MethodIndex,
    treatment: Treatment,
    view: &FleetView,
    pins: &TagPins,
) -> Plan {
    let Some(method) = method::listed(row) else {
        return Plan::Ask(treatment.into());
    };
    let bearing = block::read(method.place, call.params, pins);
    if bearing.is_reversed && method.beyond == FutureBlockPolicy::Refuse {
        return Plan::Refuse(Refusal::InvalidParams(REVERSED));
    }
    let highest = view.highest_head.max(pins.latest);
    let beyond = (bearing.need.zip(highest))
        .and_then(|(need, highest)| (need.to > highest).then_some(need.to));
    match (method.beyond, beyond) {
        (FutureBlockPolicy::Refuse, Some(number)) => absent(AbsenceAnswer::Future, number, view),
        (FutureBlockPolicy::Null, Some(number)) => absent(AbsenceAnswer::Null, number, view),
        (FutureBlockPolicy::Wait | FutureBlockPolicy::PassOn, _)
        | (FutureBlockPolicy::Null | FutureBlockPolicy::Refuse, None) => Plan::Ask(ForwardPlan {
            treatment,
            block: bearing.need,
            hash: bearing.hash,
            wait: match beyond {
                None => Some(view.block_wait),
                Some(number) if method.beyond == FutureBlockPolicy::Wait => view.wait_for(number),
                Some(_) => None,
            },
            edits: bearing.edits,
            asks_again_on_null: method.asks_again_on_null || bearing.hash.is_some(),
            asks_again_on_empty: false,
            holding: method.holding,
            asks_again_on_no_bytes: method.asks_again_on_null,
            is_never_null: method.is_never_null,
            is_range: matches!(method.place, BlockParam::Range { .. }),
            is_pending: bearing.is_pending,
        }),
    }
}

/// What becomes of a look-up of block `number`, which nobody has.
fn absent(absence: AbsenceAnswer, number: BlockNumber, view: &FleetView) -> Plan {
    match view.wait_for(number) {
        Some(_) => Plan::Soon(absence),
        None => match absence.settled() {
            Ok(result) => Plan::Answer(result.into()),
            Err(why) => Plan::Refuse(why),
        },
    }
}

fn answer(local: LocalMethod, view: &FleetView, pins: &TagPins, fails_open: bool) -> Plan {
    let known = match local {
        LocalMethod::ChainId => view.chain_id.map(|id| hex::quantity(id.0)),
        LocalMethod::BlockNumber => return block_number(view, pins, fails_open),
        LocalMethod::Syncing => has_fit(view).then(|| "false".to_string()),
        LocalMethod::ClientVersion => Some(CLIENT_VERSION.to_string()),
        LocalMethod::Listening => Some("true".to_string()),
        LocalMethod::Accounts => Some("[]".to_string()),
        LocalMethod::Subscribe => return Plan::Subscribe,
        LocalMethod::Unsubscribe => return Plan::Unsubscribe,
        // It isn't always the chain id: the nodes know.
        LocalMethod::NetVersion => view.net_version.as_deref().map(quoted),
    };
    known.map_or_else(|| Plan::Ask(Treatment::Read.into()), Plan::Answer)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(crate) fn has_fit(view: &FleetView) -> bool {
    [Role::Own, Role::Leader, Role::Fallback]
        .into_iter()
        .any(|rung| view.has_fit(rung))
}

/// The served head, as long as somebody could answer for it. A packet has one.
fn block_number(view: &FleetView, pins: &TagPins, fails_open: bool) -> Plan {
    let lives = || fails_open && view.nodes.iter().any(NodeView::is_last_resort);
    match pins.latest.or(view.served_head) {
        None => Plan::Ask(Treatment::Read.into()),
        Some(BlockNumber(head)) if has_fit(view) || lives() => Plan::Answer(hex::quantity(head)),
        Some(_) => Plan::Refuse(Refusal::NoNode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::reference::ChainId;
    use crate::fleet::standing::Hysteresis;
    use crate::fleet::{Fleet, FleetMember, HealthCriteria, ProbeOutcome};
    use crate::method::block::Consistency;
    use crate::vocabulary::node::{NodeId, Weight};

    fn planned(method: &str, view: &FleetView) -> Plan {
        planned_with(method, None, view, Consistency::Monotonic)
    }

    fn planned_with(
        method: &str,
        params: Option<&str>,
        view: &FleetView,
        consistency: Consistency,
    ) -> Plan {
        let call = Call {
            id: Some("1"),
            method: method.into(),
            params,
        };
        let pins = TagPins::of(view, consistency, None);
        plan(
            &call,
            view,
            &MethodRules::new(vec![], vec![], vec![]),
            &pins,
            true,
        )
        .1
    }

    /// Served head 100, highest 101, the head of the one node.
    fn at_100() -> FleetView {
        let now = crate::testing::now();
        let mut fleet = Fleet::new(HealthCriteria {
            chain_id: None,
            block_time: Duration::from_secs(12),
            look: Duration::from_secs(5),
            lag_blocks_max: 10,
            hysteresis: Hysteresis { rise: 2, fall: 3 },
        });
        let member = FleetMember {
            id: NodeId(1),
            name: "a".into(),
            rung: Role::Own,
            weight: Weight::ONE,
        };
        fleet.replace(vec![member], now);
        let probe = ProbeOutcome::Answered {
            head: BlockNumber(101),
            chain_id: None,
            syncing: false,
        };
        fleet.hear_round(&[(NodeId(1), probe)], now);
        FleetView {
            served_head: Some(BlockNumber(100)),
            ..fleet.view()
        }
    }

    #[test]
    fn while_no_node_is_fit_tags_travel_as_they_are() {
        let mut view = at_100();
        assert!(
            TagPins::of(&view, Consistency::Monotonic, None)
                .latest
                .is_some()
        );
        view.nodes.clear();
        let floor = Some(BlockNumber(100));
        let pins = TagPins::of(&view, Consistency::Monotonic, floor);
        assert_eq!(pins, TagPins::default());
    }

    fn asking(method: &str, params: &str, consistency: Consistency) -> ForwardPlan {
        match planned_with(method, Some(params), &at_100(), consistency) {
            Plan::Ask(asking) => asking,
            other => panic!("{method} {params}: {other:?}"),
        }
    }

    #[test]
    fn latest_is_pinned_unless_it_is_to_be_none() {
        let call = |consistency| asking("eth_call", r#"[{},"latest"]"#, consistency);
        let asking = call(Consistency::Monotonic);
        assert!(asking.wait.is_some() && !asking.edits.is_empty());
        assert_eq!(asking.block.map(|need| need.to), Some(BlockNumber(100)));
        let none = call(Consistency::None);
        assert!(none.edits.is_empty() && none.block.is_none());
    }

    #[test]
    fn what_lies_beyond_the_highest_head_is_waited_for_refused_or_null() {
        let plan =
            |method, params| planned_with(method, Some(params), &at_100(), Consistency::Monotonic);
        let refused = |why| Plan::Refuse(Refusal::InvalidParams(why));
        let null = || Plan::Answer("null".into());
        for (method, params, wanted) in [
            (
                "eth_getLogs",
                r#"[{"fromBlock":"0x1","toBlock":"0x66"}]"#,
                Plan::Soon(AbsenceAnswer::Future),
            ),
            (
                "eth_getLogs",
                r#"[{"fromBlock":"0x66"}]"#,
                Plan::Soon(AbsenceAnswer::Future),
            ),
            (
                "eth_getBlockByNumber",
                r#"["0x66",false]"#,
                Plan::Soon(AbsenceAnswer::Null),
            ),
            (
                "eth_getBlockReceipts",
                r#"["0x66"]"#,
                Plan::Soon(AbsenceAnswer::Null),
            ),
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
        let monotonic = |method, params| asking(method, params, Consistency::Monotonic);
        assert!(
            monotonic("eth_getBalance", r#"["0x1","0x66"]"#)
                .wait
                .is_some()
        );
        assert!(
            monotonic("eth_feeHistory", r#"["0x1","0x66",[]]"#)
                .wait
                .is_none()
        );
        assert!(
            monotonic("eth_newFilter", r#"[{"fromBlock":"0x66"}]"#)
                .wait
                .is_none()
        );
        assert!(
            monotonic("eth_getBlockByNumber", r#"["0x65",false]"#)
                .wait
                .is_some()
        );
        assert!(
            monotonic("eth_getLogs", r#"[{"fromBlock":"0x1","toBlock":"0x65"}]"#)
                .wait
                .is_some()
        );
    }

    #[test]
    fn what_was_told_of_a_block_says_who_is_asked_and_whether_nothing_is_believed() {
        let hash = format!("\"0x{}\"", "ab".repeat(32));
        let told = |method: &str, params: &str, number: Option<u64>| {
            let mut asking = asking(method, params, Consistency::Monotonic);
            asking.stands_in(number.map(BlockNumber), &at_100());
            asking
        };
        let logs = format!("[{{\"blockHash\":{hash}}}]");
        let known = told("eth_getLogs", &logs, Some(101));
        let need = known.block.map(|need| (need.to.0, need.reads));
        assert_eq!(need, Some((101, BlockData::Receipts)));
        assert!(!known.is_doubtful("eth_getLogs", b"[]"));
        for number in [None, Some(102)] {
            let unknown = told("eth_getLogs", &logs, number);
            assert_eq!(unknown.block, None, "nobody can have it yet");
            assert!(unknown.is_doubtful("eth_getLogs", b"[]"));
            assert!(!unknown.is_doubtful("eth_getLogs", b"[{}]"));
        }
        let call = told("eth_call", &format!("[{{}},{hash}]"), None);
        assert!(
            !call.is_doubtful("eth_call", b"\"0x\""),
            "who lacks it says so"
        );
        let count = "eth_getBlockTransactionCountByHash";
        assert!(told(count, &format!("[{hash}]"), Some(5)).is_doubtful(count, b"null"));
        let mined = told("eth_getTransactionReceipt", &format!("[{hash}]"), Some(100));
        assert_eq!(mined.block.map(|need| need.reads), Some(BlockData::Head));
        let by_hash = asking(BY_HASH, &format!("[{hash}]"), Consistency::Monotonic);
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
        let added = asking("eth_estimateGas", "[{}]", Consistency::Monotonic);
        let written = asking("eth_estimateGas", r#"[{},"0x1"]"#, Consistency::Monotonic);
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
            let asking = asking(method, "[{}]", Consistency::Monotonic);
            asking.edits.is_empty() && asking.block.is_none()
        };
        assert!(!travels_as_it_is("eth_getLogs"));
        assert!(travels_as_it_is("eth_newFilter"));
        assert!(travels_as_it_is("trace_filter"));
    }

    #[test]
    fn a_call_that_reads_what_is_pending_is_known() {
        let is_pending = |method, params| asking(method, params, Consistency::Monotonic).is_pending;
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
        assert_eq!(
            planned("net_version", &view),
            Plan::Answer(r#""4\"2""#.into())
        );
    }

    #[test]
    fn one_packet_has_one_head() {
        let mut view = at_100();
        let pins = TagPins::of(&view, Consistency::Monotonic, None);
        view.served_head = Some(BlockNumber(101));
        let call = Call {
            id: None,
            method: "eth_call".into(),
            params: Some(r#"[{}]"#),
        };
        let rules = MethodRules::new(vec![], vec![], vec![]);
        let Plan::Ask(asking) = plan(&call, &view, &rules, &pins, true).1 else {
            panic!("not asked");
        };
        assert_eq!(asking.block.map(|need| need.to), Some(BlockNumber(100)));
    }

    #[test]
    fn what_we_know_is_answered_here_and_what_we_do_not_is_asked() {
        let view = FleetView {
            chain_id: Some(ChainId(10)),
            ..FleetView::default()
        };
        assert_eq!(
            planned("eth_chainId", &view),
            Plan::Answer("\"0xa\"".into())
        );
        assert_eq!(
            planned("eth_chainId", &FleetView::default()),
            Plan::Ask(Treatment::Read.into())
        );
        assert_eq!(
            planned("eth_syncing", &view),
            Plan::Ask(Treatment::Read.into())
        );
        assert_eq!(
            planned("eth_blockNumber", &view),
            Plan::Ask(Treatment::Read.into())
        );
        assert_eq!(
            planned("net_version", &view),
            Plan::Ask(Treatment::Read.into())
        );
        assert_eq!(planned("eth_accounts", &view), Plan::Answer("[]".into()));
    }

    #[test]
    fn an_old_head_is_not_told_when_nobody_lives() {
        let view = FleetView {
            served_head: Some(BlockNumber(7)),
            ..FleetView::default()
        };
        assert_eq!(
            planned("eth_blockNumber", &view),
            Plan::Refuse(Refusal::NoNode)
        );
    }

    #[test]
    fn a_denied_method_is_refused_and_an_unknown_one_passed_on() {
        let view = FleetView::default();
        assert_eq!(
            planned("admin_peers", &view),
            Plan::Refuse(Refusal::MethodNotAllowed)
        );
        assert_eq!(
            planned("zks_foo", &view),
            Plan::Ask(Treatment::Unknown.into())
        );
    }
}
