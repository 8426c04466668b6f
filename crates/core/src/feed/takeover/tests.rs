//! Which node tells a topic, and what becomes of it: stories. The model is a file of its own.

mod model;

use super::*;
use crate::rpc::refusal::Refusal;
use crate::testing;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::node::Weight;

const TOPIC: RelayedTopic = RelayedTopic::Syncing;
const MOMENT: Duration = Duration::from_millis(1);

/// Own nodes from 1 on, all fit and as high.
fn view(nodes: u32, now: Instant) -> FleetView {
    let mut fleet = testing::fleet_of((1..=nodes).map(testing::member), now);
    let good = testing::at(9);
    let probes: Vec<_> = (1..=nodes).map(|id| (NodeId(id), good)).collect();
    fleet.hear_round(&probes, now);
    fleet.view()
}

fn source(node: u32) -> FeedSource {
    let node = NodeId(node);
    FeedSource { node, epoch: 7 }
}

fn request(number: u64) -> TopicRequest {
    let topic = TOPIC;
    TopicRequest { number, topic }
}

fn subscribe(node: u32, number: u64) -> RelayStep {
    RelayStep::Subscribe(source(node), request(number))
}

fn unsubscribe(node: u32, number: u64) -> RelayStep {
    RelayStep::Unsubscribe(source(node), request(number))
}

fn news(text: &'static str) -> TopicEvent {
    TopicEvent::News(Bytes::from_static(text.as_bytes()))
}

fn end(why: Refusal) -> RelayStep {
    RelayStep::End(TOPIC, SubscriptionFailure::Refused(why))
}

fn begin() -> RelayStep {
    RelayStep::Begin(TOPIC)
}

/// One topic that clients want, and nodes with a socket each.
struct Stage {
    relays: Relays,
    wanted: HashSet<RelayedTopic>,
    view: FleetView,
    open: Vec<FeedSocket>,
    now: Instant,
}

impl Stage {
    fn new(nodes: u32) -> Stage {
        let now = testing::now();
        let socket = |node| FeedSocket {
            source: source(node),
            takes_commands: true,
        };
        Stage {
            relays: Relays::default(),
            wanted: HashSet::from([TOPIC]),
            view: view(nodes, now),
            open: (1..=nodes).map(socket).collect(),
            now,
        }
    }

    /// Node 1 has taken it.
    fn told(nodes: u32) -> Stage {
        let mut stage = Stage::new(nodes);
        assert_eq!(stage.follow(), [subscribe(1, 1)]);
        assert_eq!(stage.hear(1, 1, TopicEvent::Taken), [begin()]);
        stage
    }

    fn steps(&mut self) -> Vec<RelayStep> {
        std::iter::from_fn(|| self.relays.next_step()).collect()
    }

    fn follow(&mut self) -> Vec<RelayStep> {
        let wanted = self.wanted.clone();
        self.relays.follow(wanted, &self.view, &self.open, self.now);
        self.steps()
    }

    fn hear(&mut self, node: u32, number: u64, event: TopicEvent) -> Vec<RelayStep> {
        self.relays
            .hear(source(node), request(number), event, self.now);
        self.steps()
    }

    /// Looks a moment before so much time has passed, and then.
    fn pass(&mut self, time: Duration) -> [Vec<RelayStep>; 2] {
        self.now += time - MOMENT;
        let before = self.follow();
        self.now += MOMENT;
        [before, self.follow()]
    }

    fn weigh(&mut self, node: u32, weight: Weight) {
        let node = self.view.nodes.iter_mut().find(|it| it.id == NodeId(node));
        node.unwrap().weight = weight;
    }

    fn close(&mut self, node: u32) {
        self.open.retain(|socket| socket.source != source(node));
    }
}

#[test]
fn the_highest_node_with_an_open_socket_is_asked_first() {
    let mut stage = Stage::new(3);
    stage.view.nodes[1].head = Some(BlockNumber(10));
    assert_eq!(stage.follow(), [subscribe(2, 1)]);
    let mut stage = Stage::new(3);
    stage.close(1);
    stage.open[0].takes_commands = false;
    assert_eq!(stage.follow(), [subscribe(3, 1)]);
    let mut stage = Stage::new(3);
    stage.view.nodes[0].lives = false;
    assert_eq!(stage.follow(), [subscribe(2, 1)]);
}

#[test]
fn an_answer_to_an_earlier_asking_is_not_the_answer_to_this_one() {
    let mut stage = Stage::new(1);
    stage.follow();
    stage.wanted.clear();
    assert_eq!(stage.follow(), [unsubscribe(1, 1)]);
    stage.wanted.insert(TOPIC);
    assert_eq!(stage.follow(), [subscribe(1, 2)]);
    let error = Bytes::from_static(b"{}");
    for late in [
        TopicEvent::Refused(error),
        TopicEvent::Taken,
        news("true"),
        TopicEvent::Lost(TakeoverReason::Lost),
    ] {
        assert_eq!(stage.hear(1, 1, late), []);
        assert_eq!(stage.follow(), [], "it still waits");
    }
    assert_eq!(stage.hear(1, 2, TopicEvent::Taken), [begin()]);
}

#[test]
fn a_socket_says_how_it_was_lost_and_another_node_is_asked() {
    for why in [TakeoverReason::Stale, TakeoverReason::Lost] {
        let mut stage = Stage::told(2);
        let lost = stage.hear(1, 1, TopicEvent::Lost(why));
        assert_eq!(lost, [RelayStep::Count(why)]);
        stage.close(1);
        assert_eq!(stage.follow(), [subscribe(2, 2)]);
    }
}

#[test]
fn a_socket_that_is_gone_or_another_tells_nothing_more() {
    let mut stage = Stage::told(1);
    stage.open[0].source.epoch += 1;
    let again = stage.open[0].source;
    let lost = RelayStep::Count(TakeoverReason::Lost);
    let asked = RelayStep::Subscribe(again, request(2));
    assert_eq!(stage.follow(), [lost, asked]);
    assert_eq!(stage.hear(1, 1, news("true")), []);
    stage.open.clear();
    stage.follow();
    let [before, after] = stage.pass(PATIENCE);
    assert_eq!(
        (before, after),
        (vec![], vec![end(Refusal::NoNotifications)])
    );
}

#[test]
fn a_subscriber_that_comes_to_a_topic_that_is_told_already_doesnt_wait() {
    assert_eq!(Stage::told(1).follow(), [begin()]);
}

#[test]
fn each_node_is_asked_until_one_takes_it_and_the_first_refusal_is_told() {
    for (event, why) in [
        (TopicEvent::Full, Refusal::OverCapacity),
        (TopicEvent::Useless, Refusal::NoNotifications),
    ] {
        let mut stage = Stage::new(2);
        stage.follow();
        stage.hear(1, 1, event);
        assert_eq!(stage.follow(), [subscribe(2, 2)]);
        stage.hear(2, 2, TopicEvent::Refused(Bytes::from_static(b"{}")));
        assert_eq!(stage.follow(), [end(why)]);
    }
}

#[test]
fn a_client_that_asks_while_no_socket_is_open_waits_and_is_refused_in_the_end() {
    let mut stage = Stage::new(1);
    let socket = stage.open.pop().unwrap();
    assert_eq!(stage.follow(), []);
    let [before, after] = stage.pass(ANSWER_TIME_MAX);
    assert_eq!(
        (before, after),
        (vec![], vec![end(Refusal::NoNotifications)])
    );
    stage.open.push(socket);
    assert_eq!(
        stage.follow(),
        [subscribe(1, 1)],
        "a client that asks again has it"
    );
}

#[test]
fn a_node_that_says_neither_yes_nor_no_is_left() {
    let mut stage = Stage::new(2);
    stage.follow();
    let [before, after] = stage.pass(ANSWER_TIME_MAX);
    let unanswered = RelayStep::Count(TakeoverReason::Unanswered);
    let left = vec![unanswered.clone(), unsubscribe(1, 1), subscribe(2, 2)];
    assert_eq!((before, after), (vec![], left));
    let [_, after] = stage.pass(ANSWER_TIME_MAX);
    let left = vec![unanswered, unsubscribe(2, 2), end(Refusal::Timeout)];
    assert_eq!(after, left, "there is no other");
}

#[test]
fn a_node_that_must_be_left_tells_on_until_another_has_taken_it() {
    let mut stage = Stage::told(2);
    stage.weigh(1, Weight::NONE);
    assert_eq!(stage.follow(), [begin(), subscribe(2, 2)]);
    let tell = RelayStep::Tell(TOPIC, Bytes::from_static(b"true"));
    assert_eq!(stage.hear(1, 1, news("true")), [tell]);
    assert_eq!(
        stage.follow(),
        [begin()],
        "a subscriber that comes meanwhile listens, too"
    );
    let drained = RelayStep::Count(TakeoverReason::Drained);
    let taken = stage.hear(2, 2, TopicEvent::Taken);
    assert_eq!(taken, [drained, unsubscribe(1, 1), begin()]);
    assert_eq!(stage.hear(1, 1, news("false")), []);
    assert_eq!(stage.hear(2, 2, news("true")), [], "it was told before");
}

#[test]
fn a_node_that_must_be_left_goes_on_where_no_other_takes_it_for_a_while() {
    let mut stage = Stage::told(2);
    stage.weigh(1, Weight::NONE);
    stage.follow();
    stage.hear(2, 2, TopicEvent::Full);
    assert_eq!(stage.follow(), [begin()], "nothing is given up or counted");
    let tell = RelayStep::Tell(TOPIC, Bytes::from_static(b"true"));
    assert_eq!(stage.hear(1, 1, news("true")), [tell]);
    assert!(!stage.relays.is_seeking());
    let [before, after] = stage.pass(STAY);
    assert_eq!(before, [begin()]);
    assert_eq!(after, [begin(), subscribe(2, 3)]);
}

#[test]
fn a_node_that_must_be_left_and_goes_on_is_left_for_one_that_wasnt_asked() {
    let mut stage = Stage::told(3);
    let third = stage.open.pop().unwrap();
    stage.weigh(1, Weight::NONE);
    stage.follow();
    stage.hear(2, 2, TopicEvent::Full);
    stage.follow();
    stage.open.push(third);
    assert_eq!(stage.follow(), [begin(), subscribe(2, 3)]);
    stage.hear(2, 3, TopicEvent::Full);
    assert_eq!(stage.follow(), [begin(), subscribe(3, 4)]);
}

#[test]
fn a_node_that_must_be_left_and_breaks_off_is_lost_then_and_patience_begins() {
    let mut stage = Stage::told(2);
    stage.weigh(1, Weight::NONE);
    stage.follow();
    let lost = stage.hear(1, 1, TopicEvent::Lost(TakeoverReason::Lost));
    assert_eq!(lost, [RelayStep::Count(TakeoverReason::Lost)]);
    stage.close(1);
    assert_eq!(
        stage.follow(),
        [],
        "no node tells it: a subscriber that comes waits"
    );
    stage.hear(2, 2, TopicEvent::Full);
    let [before, after] = stage.pass(PATIENCE);
    assert_eq!((before, after), (vec![], vec![end(Refusal::OverCapacity)]));
}

#[test]
fn a_socket_that_opens_and_breaks_again_gives_subscribers_no_more_patience() {
    let mut stage = Stage::told(1);
    let mut socket = stage.open.pop().unwrap();
    let lost = RelayStep::Count(TakeoverReason::Lost);
    assert_eq!(stage.follow(), [lost]);
    stage.now += PATIENCE - MOMENT;
    socket.source.epoch += 1;
    stage.open.push(socket);
    assert_eq!(
        stage.follow(),
        [RelayStep::Subscribe(socket.source, request(2))]
    );
    stage.open.clear();
    stage.now += MOMENT;
    // No node was left.
    assert_eq!(stage.follow(), [end(Refusal::NoNotifications)]);
}

#[test]
fn an_unfit_node_is_left_only_for_one_that_lives() {
    let mut stage = Stage::told(2);
    stage.view.nodes.iter_mut().for_each(|it| it.lives = false);
    assert_eq!(stage.follow(), [begin()]);
    stage.view.nodes[1].lives = true;
    assert_eq!(stage.follow(), [begin(), subscribe(2, 2)]);
}

#[test]
fn a_socket_that_takes_no_order_is_passed_over() {
    let mut stage = Stage::new(3);
    stage.follow();
    stage.hear(1, 1, TopicEvent::Full);
    assert_eq!(stage.follow(), [subscribe(2, 2)]);
    stage.relays.unsent(&request(2));
    assert!(stage.relays.is_seeking());
    stage.open[1].takes_commands = false;
    assert_eq!(stage.follow(), [subscribe(3, 3)]);
    stage.relays.unsent(&request(2));
    assert_eq!(stage.hear(3, 3, TopicEvent::Taken), [begin()]);
}

#[test]
fn a_topic_that_no_client_wants_any_more_is_given_up_by_all_nodes_that_tell_it() {
    let mut stage = Stage::told(2);
    stage.weigh(1, Weight::NONE);
    stage.follow();
    stage.wanted.clear();
    assert_eq!(stage.follow(), [unsubscribe(2, 2), unsubscribe(1, 1)]);
    assert!(!stage.relays.is_seeking());
}

#[test]
fn a_node_whose_socket_breaks_each_time_is_not_asked_for_ever() {
    let mut stage = Stage::told(1);
    let second = Duration::from_secs(1);
    let is_over = |steps: &Vec<RelayStep>| steps.contains(&end(Refusal::NoNotifications));
    let looks = (0..60).map(|_| {
        stage.open[0].source.epoch += 1;
        let steps = stage.follow();
        stage.now += second;
        steps
    });
    let looks: Vec<_> = looks.collect();
    let over = looks.iter().position(is_over);
    assert_eq!(over, Some(15), "{looks:?}");
}
