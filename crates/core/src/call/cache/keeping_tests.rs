//! What is planned, kept and given, over a fleet of two nodes and the chain that clients were told.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::call::cache::adopting;
use crate::call::cache::key::CacheSecret;
use crate::call::cache::stored_key::{self, StoredSecret};
use crate::call::cache::subject::{CacheRules, CacheSubject};
use crate::call::tag_pins;
use crate::fleet::branch::PublishedChain;
use crate::fleet::standing::Hysteresis;
use crate::fleet::tracker::Fleet;
use crate::fleet::{HealthCriteria, ProbeDetails, ProbeOutcome};
use crate::method::block::{self, Consistency};
use crate::method::{self, MethodRules};
use crate::rpc::envelope::Call;
use crate::testing;
use crate::vocabulary::chain::{BlockHash, ChainId};
use crate::vocabulary::header::Header;
use crate::vocabulary::node::NodeId;

const ONE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const TX: &str = "0xcccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

/// Block `number` of this branch.
fn hash(number: u64, branch: u8) -> BlockHash {
    let mut hash = [branch; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    BlockHash(hash)
}

/// Two nodes and what clients were told.
struct Story {
    fleet: Fleet,
    now: Instant,
}

impl Story {
    /// Both at block 100 of branch `a`, which is told from 90 on; 80 is final.
    fn begin() -> Story {
        let now = testing::now();
        let criteria = HealthCriteria {
            chain_id: Some(ChainId(1)),
            hysteresis: Hysteresis { rise: 1, fall: 3 },
            ..testing::criteria()
        };
        let members = [ONE, OTHER].map(|NodeId(id)| testing::called(id, "node"));
        let fleet = testing::fleet_by(criteria, members, now);
        let mut story = Story { fleet, now };
        story.round((100, b'a'), (100, b'a'));
        story.told(90..=100, b'a');
        story
    }

    fn round(&mut self, one: (u64, u8), other: (u64, u8)) {
        self.now += Duration::from_secs(5);
        let heads = [(ONE, one), (OTHER, other)];
        let details = heads.map(|(id, (number, branch))| {
            let details = ProbeDetails {
                head_hash: Some(hash(number, branch)),
                parent_hash: Some(hash(number - 1, branch)),
                finalized: Some(BlockNumber(80)),
                ..ProbeDetails::default()
            };
            (id, details)
        });
        let probes = heads.map(|(id, (number, _))| {
            let probe = ProbeOutcome::Answered {
                head: BlockNumber(number),
                chain_id: Some(ChainId(1)),
                syncing: false,
            };
            (id, probe)
        });
        self.fleet.hear_details(&probes, &details, self.now);
        self.fleet.hear_round(&probes, self.now);
    }

    fn told(&mut self, numbers: std::ops::RangeInclusive<u64>, branch: u8) {
        let headers: Vec<_> = numbers.map(|number| header(number, branch)).collect();
        self.fleet.hear_told(PublishedChain::of(headers.iter()));
    }

    fn view(&self) -> FleetView {
        self.fleet.view()
    }
}

fn header(number: u64, branch: u8) -> Arc<Header> {
    let (hash, parent) = (hash(number, branch), hash(number - 1, branch));
    Arc::new(testing::header(number, hash, parent))
}

fn rules() -> CacheRules {
    CacheRules::new(CacheSecret::new([1, 2, 3, 4]), &[])
}

fn planned(view: &FleetView, method: &str, params: &str) -> Option<CachePlan> {
    planned_by(view, (method, params), &rules(), Consistency::Monotonic)
}

fn planned_by(
    view: &FleetView,
    (method, params): (&str, &str),
    rules: &CacheRules,
    consistency: Consistency,
) -> Option<CachePlan> {
    let (row, _) = MethodRules::new(vec![], vec![], vec![]).look_up(method);
    let call = Call::new(Some("1"), method, Some(params));
    let pins = tag_pins::of(view, consistency, None);
    let refs = block::read(
        method::listed(row)?.place,
        (call.params, &call.elements),
        &pins,
    );
    let subject = CacheSubject::of((&call, row), &refs, view, rules)?;
    let decision = subject.find(&call, rules, |_| None::<()>).err()?;
    decision.plan().copied()
}

/// On which terms the answer of node `ONE`, which was `asked` then, is kept now.
fn kept(
    (asked, view): (&FleetView, &FleetView),
    (method, params): (&str, &str),
    reply: KeptReply<'_>,
    now: Instant,
) -> Result<KeptTerms, NotKept> {
    let plan = planned(asked, method, params).unwrap_or_else(|| panic!("{method} {params}"));
    let moment = AnswerMoment {
        asked: asked.node(ONE).unwrap(),
        view,
        now,
    };
    terms(&plan, params, &reply, moment)
}

fn result_kept(story: &Story, call: (&str, &str), result: &str) -> Result<KeptTerms, NotKept> {
    let view = story.view();
    kept(
        (&view, &view),
        call,
        KeptReply::Result(result.as_bytes()),
        story.now,
    )
}

fn inside(number: u64, branch: u8) -> String {
    let hash = hash(number, branch);
    format!(r#"{{"transactionHash":"{TX}","blockHash":"{hash}","blockNumber":"0x{number:x}"}}"#)
}

fn itself(number: u64, branch: u8) -> String {
    format!(
        r#"{{"number":"0x{number:x}","hash":"{}"}}"#,
        hash(number, branch)
    )
}

type WrittenCall = (&'static str, String);

fn block_at(number: u64) -> WrittenCall {
    ("eth_getBlockByNumber", format!(r#"["0x{number:x}",false]"#))
}

fn block_of(hash: BlockHash) -> WrittenCall {
    ("eth_getBlockByHash", format!(r#"["{hash}",false]"#))
}

/// What the account `0xab` has at this block.
fn balance(block: &str) -> WrittenCall {
    ("eth_getBalance", format!(r#"["0xab",{block}]"#))
}

fn logs(filter: &str) -> WrittenCall {
    ("eth_getLogs", format!("[{{{filter}}}]"))
}

fn receipt() -> WrittenCall {
    ("eth_getTransactionReceipt", format!(r#"["{TX}"]"#))
}

fn written(method: &'static str, params: &str) -> WrittenCall {
    (method, params.to_string())
}

#[test]
fn what_is_asked_is_planned_by_the_block_that_it_is_of() {
    let story = Story::begin();
    let view = story.view();
    let told = |number| Some(KeptBlock::Told(BlockNumber(number), hash(number, b'a')));
    let is_final = Some(KeptBlock::Final(BlockNumber(80)));
    let unknown = hash(7, b'x');
    let by_hash = format!(r#""blockHash":"{}""#, hash(95, b'a'));
    for ((method, params), wanted) in [
        (balance(r#""latest""#), told(100)),
        (written("eth_getBalance", r#"["0xab"]"#), told(100)),
        (balance(r#""0x5f""#), told(95)),
        (balance(&format!("{{{by_hash}}}")), told(95)),
        (balance(&format!("\"{unknown}\"")), None),
        (balance(r#""0x58""#), None),
        (balance(r#""0x50""#), is_final),
        (balance(r#""finalized""#), is_final),
        (balance(r#""pending""#), None),
        // Block 1 of Cosmos EVM, and no tag anywhere.
        (balance(r#""LATEST""#), None),
        (balance(r#""earliest""#), None),
        (written("eth_getBlockByNumber", r#"["0x65",true]"#), None),
        (block_of(unknown), Some(KeptBlock::Hashed(unknown))),
        (
            written("eth_getBlockByHash", &format!(r#"["{unknown}",true]"#)),
            Some(KeptBlock::Hashed(unknown)),
        ),
        (logs(r#""fromBlock":"0x5a""#), told(100)),
        (logs(r#""fromBlock":"0x5a","toBlock":"0x59""#), None),
        (logs(&by_hash), told(95)),
        (receipt(), Some(KeptBlock::Named)),
        (written("eth_getTransactionReceipt", r#"["0x1"]"#), None),
        (written("eth_gasPrice", "[]"), None),
        (written("eth_sendRawTransaction", r#"["0x1"]"#), None),
        (written("eth_newFilter", "[{}]"), None),
    ] {
        let plan = planned(&view, method, &params);
        assert_eq!(plan.map(|plan| plan.block), wanted, "{method} {params}");
    }
    let asked = ("eth_getBalance", r#"["0xab"]"#);
    let with = |rules: &CacheRules, view: &FleetView, consistency| {
        planned_by(view, asked, rules, consistency).is_some()
    };
    let but = CacheRules::new(CacheSecret::new([1, 2, 3, 4]), &["eth_getB*".into()]);
    assert!(with(&rules(), &view, Consistency::Monotonic));
    assert!(
        !with(&but, &view, Consistency::Monotonic),
        "left out by the operator"
    );
    assert!(
        !with(&rules(), &view, Consistency::None),
        "the tag is the node's to know"
    );
    let chain = |id| Some(ChainId(id));
    for (chain_id, nodes_chain, wanted) in [
        (chain(324), chain(1), false),
        (None, chain(324), false),
        (None, None, false),
        (None, chain(1), true),
        (chain(2), None, true),
    ] {
        let view = FleetView {
            chain_id,
            nodes_chain,
            ..story.view()
        };
        let is_kept = with(&rules(), &view, Consistency::Monotonic);
        assert_eq!(is_kept, wanted, "{chain_id:?} {nodes_chain:?}");
    }
}

#[test]
fn calls_share_a_key_only_where_they_are_of_the_same_block() {
    let mut story = Story::begin();
    let view = story.view();
    let key = |view: &FleetView, method, params: &str| planned(view, method, params).unwrap().key;
    let latest = key(&view, "eth_getBalance", r#"["0xAB"]"#);
    let by_hash = format!(r#"["0xab","{}"]"#, hash(100, b'a'));
    for alike in [r#"["0xab","latest"]"#, r#"["0xab","0x64"]"#, &by_hash] {
        assert_eq!(key(&view, "eth_getBalance", alike), latest, "{alike}");
    }
    for (method, params) in [
        ("eth_getBalance", r#"["0xab","0x63"]"#),
        ("eth_getBalance", r#"["0xac"]"#),
        ("eth_getCode", r#"["0xab"]"#),
    ] {
        assert_ne!(key(&view, method, params), latest, "{method} {params}");
    }
    let range = |params: &str| key(&view, "eth_getLogs", params);
    let one = range(r#"[{"fromBlock":"0x63","toBlock":"0x63"}]"#);
    assert_eq!(
        one,
        range(&format!(r#"[{{"blockHash":"{}"}}]"#, hash(99, b'a')))
    );
    assert_ne!(one, range(r#"[{"fromBlock":"0x62","toBlock":"0x63"}]"#));
    assert_ne!(one, range(r#"[{"fromBlock":"0x61","toBlock":"0x63"}]"#));
    story.round((100, b'b'), (100, b'b'));
    story.told(90..=94, b'a');
    let headers: Vec<_> = (90..=94)
        .map(|number| header(number, b'a'))
        .chain((95..=100).map(|number| header(number, b'b')))
        .collect();
    story.fleet.hear_told(PublishedChain::of(headers.iter()));
    let after = story.view();
    assert_ne!(
        key(&after, "eth_getBalance", r#"["0xAB"]"#),
        latest,
        "another block"
    );
    let before = r#"["0xAB","0x5a"]"#;
    assert_eq!(
        key(&after, "eth_getBalance", before),
        key(&view, "eth_getBalance", before)
    );
}

#[test]
fn what_names_its_block_is_kept_if_that_is_the_told_one() {
    use NotKept::{Fleeting, Other, Unknown};
    let story = Story::begin();
    let always = |number| Ok((BlockNumber(number), KeptCondition::Always));
    let (told, unknown, other) = (hash(95, b'a'), hash(70, b'x'), hash(95, b'b'));
    let padded = format!(r#"["0x{:064x}",false]"#, 95);
    let padded = written("eth_getBlockByNumber", &padded);
    let receipts = || written("eth_getBlockReceipts", r#"["0x5f"]"#);
    for ((method, params), result, wanted) in [
        (block_at(95), itself(95, b'a'), always(95)),
        (block_at(95), itself(95, b'b'), Err(Unknown)),
        (block_at(95), itself(96, b'a'), Err(Unknown)),
        (block_at(95), "null".into(), Err(Fleeting)),
        (block_at(95), "{}".into(), Err(Unknown)),
        (block_at(70), itself(70, b'x'), always(70)),
        (block_at(70), itself(71, b'x'), Err(Unknown)),
        (block_of(told), itself(95, b'a'), always(95)),
        (block_of(told), itself(95, b'b'), Err(Other)),
        (block_of(unknown), itself(70, b'x'), always(70)),
        (block_of(unknown), itself(70, b'y'), Err(Other)),
        // As it was asked for, though it was taken back.
        (block_of(other), itself(95, b'b'), Err(Unknown)),
        // A number with zeros in front, to some nodes: a call that asks so makes no node a liar.
        (padded, itself(95, b'a'), Err(Unknown)),
        (receipts(), format!("[{}]", inside(95, b'a')), always(95)),
        (receipts(), format!("[{}]", inside(94, b'a')), Err(Unknown)),
    ] {
        let kept = result_kept(&story, (method, &params), &result);
        let kept = kept.map(|terms| (terms.number, terms.condition));
        assert_eq!(kept, wanted, "{method} {params} {result}");
    }
}

#[test]
fn where_nodes_add_to_blocks_what_is_final_is_kept_alone() {
    let story = Story::begin();
    let of_95 = logs(r#""fromBlock":"0x5f","toBlock":"0x5f""#);
    for ((method, params), result, is_final) in [
        (block_at(95), itself(95, b'a'), false),
        (block_at(70), itself(70, b'a'), true),
        (receipt(), inside(95, b'a'), false),
        (receipt(), inside(80, b'a'), true),
        (of_95, format!("[{}]", inside(95, b'a')), false),
    ] {
        let reply = KeptReply::Result(result.as_bytes());
        for (chain, wanted) in [(324, is_final), (1, true)] {
            let view = FleetView {
                chain_id: Some(ChainId(chain)),
                ..story.view()
            };
            let kept = kept((&view, &view), (method, &params), reply.clone(), story.now);
            assert_eq!(kept.is_ok(), wanted, "{chain} {method} {params}");
        }
    }
}

#[test]
fn a_receipt_is_kept_with_its_block_and_given_while_that_is_told() {
    let mut story = Story::begin();
    let (method, params) = receipt();
    let receipt = (method, &*params);
    let terms = result_kept(&story, receipt, &inside(95, b'a')).unwrap();
    assert_eq!(terms.condition, KeptCondition::WhileTold(hash(95, b'a')));
    for (result, why) in [
        (inside(95, b'b'), NotKept::Unknown),
        (inside(85, b'a'), NotKept::Unknown),
        (inside(101, b'a'), NotKept::Unknown),
        (r#"{"blockHash":null}"#.into(), NotKept::Unknown),
        (
            format!(r#"{{"transactionHash":"{TX}","blockHash":null}}"#),
            NotKept::Fleeting,
        ),
        (inside(95, b'a').replace("0xcc", "0xcd"), NotKept::Unknown),
    ] {
        assert_eq!(result_kept(&story, receipt, &result), Err(why), "{result}");
    }
    let old = result_kept(&story, receipt, &inside(80, b'a')).unwrap();
    assert_eq!(old.condition, KeptCondition::Always, "it is final");
    assert!(terms.giver(&story.view()).is_some());
    story.told(90..=94, b'a');
    assert!(
        terms.giver(&story.view()).is_none(),
        "its block is told no more"
    );
    assert!(old.giver(&story.view()).is_some());
    story.told(90..=100, b'a');
    assert!(terms.giver(&story.view()).is_some());
    story.fleet.replace(Vec::new(), story.now);
    assert!(old.giver(&story.view()).is_none(), "its node is no more");
}

const BALANCE: (&str, &str) = ("eth_getBalance", r#"["0xab"]"#);

#[test]
fn state_is_kept_from_a_node_that_has_the_block_before_and_after() {
    let mut story = Story::begin();
    let asked = story.view();
    let kept_by = |story: &Story| {
        let view = story.view();
        kept(
            (&asked, &view),
            BALANCE,
            KeptReply::Result(b"\"0x1\""),
            story.now,
        )
    };
    let terms = kept_by(&story).unwrap();
    let strays = asked.node(ONE).unwrap().evidence.strays;
    assert_eq!(terms.condition, KeptCondition::WhileSteady { strays });
    assert!(terms.giver(&story.view()).is_some());
    story.round((102, b'a'), (102, b'a'));
    assert_eq!(
        kept_by(&story),
        Err(NotKept::Unknown),
        "whose block 102 isn't told yet"
    );
    story.told(90..=102, b'a');
    assert!(kept_by(&story).is_ok(), "the same branch, higher up");
    assert!(terms.giver(&story.view()).is_some());
    story.round((102, b'b'), (102, b'a'));
    assert_eq!(
        kept_by(&story),
        Err(NotKept::Unknown),
        "it went to another branch"
    );
    assert!(terms.giver(&story.view()).is_none());
    story.round((103, b'a'), (103, b'a'));
    story.told(90..=103, b'a');
    assert_eq!(
        kept_by(&story),
        Err(NotKept::Unknown),
        "and may have been there when it answered"
    );
    assert!(terms.giver(&story.view()).is_none(), "for good");
}

#[test]
fn state_of_a_node_that_lags_or_was_seen_astray_is_not_kept() {
    let mut story = Story::begin();
    story.round((99, b'a'), (100, b'a'));
    assert!(
        result_kept(&story, BALANCE, "\"0x1\"").is_err(),
        "it hasn't the block"
    );
    let at_99 = ("eth_getBalance", r#"["0xab","0x63"]"#);
    assert!(result_kept(&story, at_99, "\"0x1\"").is_ok());
    story.fleet.see_astray(ONE);
    assert!(result_kept(&story, at_99, "\"0x1\"").is_err());
}

#[test]
fn what_was_asked_before_its_node_had_the_block_is_not_kept() {
    let mut story = Story::begin();
    story.round((100, b'a'), (101, b'a'));
    story.told(90..=101, b'a');
    let asked = story.view();
    story.round((101, b'a'), (101, b'a'));
    let at_101 = ("eth_getBalance", r#"["0xab","0x65"]"#);
    let answered = story.view();
    let by = |asked: &FleetView| {
        let reply = KeptReply::Result(b"\"0x1\"");
        kept((asked, &answered), at_101, reply, story.now)
    };
    assert_eq!(by(&asked), Err(NotKept::Unknown));
    assert!(by(&answered).is_ok());
}

#[test]
fn state_of_a_node_whose_head_goes_up_and_down_is_not_kept_unless_it_was_started_again() {
    let is_kept = |story: &Story| result_kept(story, BALANCE, "\"0x1\"").is_ok();
    let falls_and_returns = |story: &mut Story| {
        for number in [99, 100] {
            story.round((number, b'a'), (100, b'a'));
        }
    };
    let mut story = Story::begin();
    falls_and_returns(&mut story);
    assert!(!is_kept(&story), "several may stand behind its URL");
    story.now += Duration::from_secs(600);
    assert!(is_kept(&story));
    // Its socket breaks.
    for (seconds, wanted) in [(45, true), (55, false)] {
        let mut story = Story::begin();
        story.fleet.doubt_depth(ONE, story.now);
        story.now += Duration::from_secs(seconds);
        falls_and_returns(&mut story);
        assert_eq!(is_kept(&story), wanted, "{seconds} s later");
    }
}

#[test]
fn a_round_that_began_before_its_node_told_of_a_block_is_no_fall() {
    let mut story = Story::begin();
    story.fleet.begin_round();
    story.now += Duration::from_secs(1);
    let details = ProbeDetails {
        head_hash: Some(hash(101, b'a')),
        parent_hash: Some(hash(100, b'a')),
        ..ProbeDetails::default()
    };
    for id in [ONE, OTHER] {
        let head = BlockNumber(101);
        story.fleet.hear_head(id, head, &details, story.now);
    }
    story.told(90..=101, b'a');
    let terms = |story: &Story| result_kept(story, BALANCE, "\"0x1\"");
    let before = terms(&story).unwrap();
    story.round((100, b'a'), (100, b'a'));
    assert_eq!(story.view().node(ONE).unwrap().head, Some(BlockNumber(101)));
    assert_eq!(terms(&story), Ok(before));
    assert!(before.giver(&story.view()).is_some());
    story.fleet.begin_round();
    story.round((100, b'a'), (101, b'a'));
    assert_eq!(terms(&story), Err(NotKept::Unknown), "it fell since");
    assert!(before.giver(&story.view()).is_none());
}

#[test]
fn of_errors_only_reverts_of_the_state_are_kept() {
    let story = Story::begin();
    let view = story.view();
    let call = ("eth_call", r#"[{"to":"0xab"}]"#);
    let error = |code, data| RpcError {
        code,
        message: Cow::Borrowed("execution reverted"),
        data,
    };
    let is_kept = |call, code, data| {
        let error = error(code, data);
        kept((&view, &view), call, KeptReply::Error(error), story.now).is_ok()
    };
    assert!(is_kept(call, 3, Some("\"0x08c379a0\"")));
    for (code, data) in [
        (3, None),
        (3, Some("null")),
        (-32000, Some("\"0x08c379a0\"")),
        (-32000, None),
        (-32015, Some("\"0x\"")),
    ] {
        assert!(!is_kept(call, code, data), "{code} {data:?}");
    }
    let block = ("eth_getBlockByNumber", r#"["0x5f",false]"#);
    assert!(!is_kept(block, 3, Some("\"0x08c379a0\"")));
}

#[test]
fn logs_are_kept_if_all_are_of_told_blocks_of_the_range() {
    let story = Story::begin();
    let range = ("eth_getLogs", r#"[{"fromBlock":"0x5b","toBlock":"0x5f"}]"#);
    let logs = |blocks: &[(u64, u8)]| {
        let each: Vec<_> = blocks
            .iter()
            .map(|(number, branch)| inside(*number, *branch))
            .collect();
        format!("[{}]", each.join(","))
    };
    let (a, b) = (b'a', b'b');
    for (blocks, wanted) in [
        (&[][..], true),
        (&[(91, a), (95, a)], true),
        (&[(91, a), (95, b)], false),
        (&[(90, a)], false),
        (&[(96, a)], false),
    ] {
        let kept = result_kept(&story, range, &logs(blocks));
        assert_eq!(kept.is_ok(), wanted, "{blocks:?}");
    }
    let by_hash = |hash: BlockHash| format!(r#"[{{"blockHash":"{hash}"}}]"#);
    let of = |hash, blocks: &[(u64, u8)]| {
        result_kept(&story, ("eth_getLogs", &by_hash(hash)), &logs(blocks))
    };
    let condition = |kept: Result<KeptTerms, NotKept>| kept.unwrap().condition;
    let view = story.view();
    let strays = view.node(ONE).unwrap().evidence.strays;
    let is_steady = KeptCondition::WhileSteady { strays };
    assert_eq!(condition(of(hash(95, a), &[])), is_steady);
    assert_eq!(
        condition(of(hash(95, a), &[(95, a)])),
        KeptCondition::Always
    );
    let at_95 = ("eth_getLogs", r#"[{"fromBlock":"0x5f","toBlock":"0x5f"}]"#);
    for (blocks, wanted) in [
        (&[][..], is_steady),
        (&[(95, a), (95, a)], KeptCondition::Always),
    ] {
        let kept = result_kept(&story, at_95, &logs(blocks));
        assert_eq!(condition(kept), wanted, "{blocks:?} of one block");
    }
    let of_range = result_kept(&story, range, &logs(&[(95, a)]));
    assert_eq!(condition(of_range), is_steady, "others may be missing");
    assert_eq!(of(hash(95, b), &[(95, b)]), Err(NotKept::Unknown));
    assert_eq!(of(hash(95, a), &[(94, a)]), Err(NotKept::Other));
    assert_eq!(
        of(hash(70, b'x'), &[]),
        Err(NotKept::Unknown),
        "it may not have the block"
    );
    assert!(of(hash(70, b'x'), &[(70, b'x')]).is_ok());
    assert_eq!(of(hash(70, b'x'), &[(70, b'y')]), Err(NotKept::Other));
}

#[test]
fn what_was_final_and_is_other_begins_an_era() {
    let mut story = Story::begin();
    let old = r#"["0xab","0x50"]"#;
    let key = |story: &Story| planned(&story.view(), "eth_getBalance", old).map(|plan| plan.key);
    let first = key(&story);
    assert!(first.is_some());
    story.told(90..=101, b'a');
    assert_eq!(key(&story), first);
    story.told(200..=201, b'z');
    assert_ne!(key(&story), first, "it can't be linked");
}

#[test]
fn what_a_node_said_before_it_was_on_another_chain_is_given_no_more() {
    let mut story = Story::begin();
    let block = ("eth_getBlockByNumber", r#"["0x5f",false]"#);
    let terms = result_kept(&story, block, &itself(95, b'a')).unwrap();
    let probe = |chain| ProbeOutcome::Answered {
        head: BlockNumber(100),
        chain_id: Some(ChainId(chain)),
        syncing: false,
    };
    let hear = |story: &mut Story, chain| {
        story
            .fleet
            .hear_round(&[(ONE, probe(chain)), (OTHER, probe(1))], story.now);
        terms.giver(&story.view()).is_some()
    };
    assert!(hear(&mut story, 1));
    assert!(!hear(&mut story, 2));
    assert!(!hear(&mut story, 1), "though it is back");
    let anew = result_kept(&story, block, &itself(95, b'a')).unwrap();
    assert!(anew.giver(&story.view()).is_some());
}

/// On which terms an answer of node `ONE` is taken over that another balancer kept.
fn adopted(view: &FleetView, call: (&str, &str), result: &str, now: Instant) -> Option<KeptTerms> {
    let plan = planned(view, call.0, call.1)?;
    let reply = KeptReply::Result(result.as_bytes());
    let node = view.node(ONE).unwrap();
    adopting::terms(&plan, call.1, &reply, (node, view, now))
}

#[test]
fn what_another_balancer_kept_is_taken_over_only_of_a_block_that_is_told() {
    let story = Story::begin();
    let view = story.view();
    let two_blocks = || logs(r#""fromBlock":"0x5e","toBlock":"0x5f""#);
    for ((method, params), result, wanted) in [
        (block_at(95), itself(95, b'a'), true),
        (block_at(95), itself(95, b'b'), false),
        (block_at(95), itself(94, b'a'), false),
        // Final, and not remembered by its hash.
        (block_at(70), itself(70, b'a'), false),
        (block_of(hash(95, b'a')), itself(95, b'a'), true),
        (block_of(hash(70, b'x')), itself(70, b'x'), true),
        (block_of(hash(70, b'x')), itself(70, b'y'), false),
        (block_of(hash(95, b'b')), itself(95, b'b'), false),
        (receipt(), inside(95, b'a'), true),
        (receipt(), inside(95, b'b'), false),
        (receipt(), inside(70, b'a'), false),
        (receipt(), "null".into(), false),
        (written(BALANCE.0, BALANCE.1), "\"0x1\"".into(), true),
        (balance(r#""0x46""#), "\"0x1\"".into(), false),
        (two_blocks(), format!("[{}]", inside(95, b'a')), true),
        (two_blocks(), format!("[{}]", inside(95, b'b')), false),
    ] {
        let is_adopted = adopted(&view, (method, &params), &result, story.now).is_some();
        assert_eq!(is_adopted, wanted, "{method} {params} {result}");
    }
}

#[test]
fn state_is_taken_over_only_where_its_node_is_known_to_be_on_the_told_chain() {
    let mut story = Story::begin();
    let balance = ("eth_getBalance", r#"["0xab","0x5f"]"#);
    let taken = |story: &Story| adopted(&story.view(), balance, "\"0x1\"", story.now).is_some();
    assert!(taken(&story));
    story.round((100, b'b'), (100, b'a'));
    assert!(!taken(&story), "it is elsewhere");
}

#[test]
fn in_the_store_no_two_meanings_share_a_name_and_no_secrets_do() {
    let story = Story::begin();
    let view = story.view();
    let named = |secret: &str, chain, (method, params): (&str, &str)| {
        let plan = planned(&view, method, params).unwrap();
        stored_key::of(&StoredSecret::of(secret), ChainId(chain), &plan, params)
    };
    let balance = ("eth_getBalance", r#"["0xAB"]"#);
    let name = named("s3cret", 1, balance).unwrap();
    let by_hash = format!(r#"["0xab","{}"]"#, hash(100, b'a'));
    for alike in [r#"["0xab","latest"]"#, r#"[ "0xab" , "0x64" ]"#, &by_hash] {
        assert_eq!(
            named("s3cret", 1, (balance.0, alike)),
            Some(name),
            "{alike}"
        );
    }
    for other in [
        named("", 1, balance),
        named("s3cret", 2, balance),
        named("s3cret", 1, ("eth_getBalance", r#"["0xac"]"#)),
        named("s3cret", 1, ("eth_getBalance", r#"["0xab","0x63"]"#)),
        named("s3cret", 1, ("eth_getCode", r#"["0xab"]"#)),
    ] {
        assert_ne!(other.unwrap(), name);
    }
    let range = |from| format!(r#"[{{"fromBlock":"{from}","toBlock":"0x5f"}}]"#);
    let [one, other] = ["0x5d", "0x5e"].map(|from| named("", 1, ("eth_getLogs", &range(from))));
    assert_ne!(one, other);
    assert_eq!(
        named("s3cret", 1, ("eth_getBalance", r#"["0xab","0x46"]"#)),
        None
    );
    assert_eq!(name.to_string().len(), 64);
}
