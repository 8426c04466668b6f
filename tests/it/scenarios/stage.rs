//! Sets a story up and plays it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use forebay_fake::{FakeChain, FakeHead, FakeNode, FakeRpcError, Fault, FixedResult};
use serde_json::{Value, json};

use super::story::{Batch, Call, Expect, Heard, Metric, Node, Step, Story};
use crate::support::{Balancer, QUICK, pretend_node, read_quantity, soon, status_fault};

struct Stage {
    chain: Arc<FakeChain>,
    nodes: BTreeMap<String, FakeNode>,
    balancer: Balancer,
    kept: HashMap<String, Value>,
}

/// What doesn't hold, as an error.
pub async fn play(story: &Story) -> Result<(), String> {
    let mut stage = Stage::set(story).await;
    for (at, step) in story.steps.iter().enumerate() {
        let done = stage.step(step).await;
        done.map_err(|why| format!("step {}: {why}", at + 1))?;
    }
    Ok(())
}

impl Stage {
    async fn set(story: &Story) -> Stage {
        let chain = FakeChain::still(1, story.head);
        let mut nodes = BTreeMap::new();
        let mut yaml = QUICK.to_string();
        for line in &story.config {
            yaml += &format!("  {line}\n");
        }
        yaml += "  nodes:\n";
        for (name, told) in &story.nodes {
            let node = pretend_node(&chain).await;
            change(&node, told).await;
            let (url, weight) = (node.url(), told.weight.unwrap_or(1));
            let leader = told.leader.unwrap_or(false);
            yaml += &format!(
                "    - {{ url: \"{url}\", name: {name}, weight: {weight}, leader: {leader} }}\n"
            );
            nodes.insert(name.clone(), node);
        }
        let stage = Stage {
            chain,
            nodes,
            balancer: Balancer::start(&yaml, &[("FOREBAY_LOG", "debug")]).await,
            kept: HashMap::new(),
        };
        stage.rounds(2).await;
        stage
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Call(call) => self.call(call).await,
            Step::Batch(batch) => self.batch(batch).await,
            Step::Change(nodes) => {
                for (name, told) in nodes {
                    change(&self.nodes[name], told).await;
                }
                Ok(())
            }
            Step::Advance(blocks) => {
                self.chain.advance(*blocks);
                Ok(())
            }
            Step::Rounds(rounds) => {
                self.rounds(*rounds).await;
                Ok(())
            }
            Step::Heard(heard) => self.heard(heard),
            Step::Metric(metric) => self.metric(metric).await,
        }
    }

    async fn call(&mut self, call: &Call) -> Result<(), String> {
        let mut memory = Memory::default();
        for time in 1..=call.times {
            let params = self.filled(&call.params);
            let body = json!({
                "jsonrpc": "2.0", "id": time, "method": call.method, "params": params,
            });
            let answer = self.balancer.post(&body.to_string()).await;
            let said = answer.json();
            let at = |why| format!("{} {params}, time {time}: {why}: {said}", call.method);
            if said["id"] != json!(time) {
                return Err(at("another id".to_string()));
            }
            let node = answer.node();
            meets(&call.expect, &said, node, &mut memory).map_err(at)?;
            if let Some(name) = &call.keep {
                self.kept.insert(name.clone(), said["result"].clone());
            }
        }
        Ok(())
    }

    async fn batch(&mut self, batch: &Batch) -> Result<(), String> {
        for time in 1..=batch.times {
            let calls = batch.calls.iter().enumerate().map(|(id, (method, params))| {
                json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            });
            let body = Value::Array(calls.collect()).to_string();
            let said = self.balancer.post(&body).await.json();
            let answers = said.as_array().ok_or(format!("no array: {said}"))?;
            if answers.len() != batch.calls.len() {
                return Err(format!("time {time}: {} answers", answers.len()));
            }
            for (id, answer) in answers.iter().enumerate() {
                if answer["id"] != json!(id) {
                    return Err(format!("answer {id} has another id: {answer}"));
                }
                let met = meets(&batch.each, answer, "", &mut Memory::default());
                met.map_err(|why| format!("time {time}: {why}: {answer}"))?;
                if batch.alike && answer["result"] != answers[0]["result"] {
                    return Err(format!("time {time}: not alike: {said}"));
                }
            }
        }
        Ok(())
    }

    fn filled(&self, params: &Value) -> Value {
        match params {
            Value::Null => json!([]),
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self.kept.get(name).cloned().unwrap_or(Value::Null),
                None => params.clone(),
            },
            Value::Array(parts) => parts.iter().map(|part| self.filled(part)).collect(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => params.clone(),
        }
    }

    fn heard(&self, heard: &Heard) -> Result<(), String> {
        let nodes = self.nodes.iter();
        let count: u64 = nodes
            .filter(|(name, _)| heard.node.as_ref().is_none_or(|node| node == *name))
            .map(|(_, node)| node.calls_of(&heard.method))
            .sum();
        if (heard.at_least..=heard.at_most).contains(&count) {
            return Ok(());
        }
        let node = heard.node.as_deref().unwrap_or("all");
        Err(format!("{node} heard {} {count} times", heard.method))
    }

    async fn metric(&self, metric: &Metric) -> Result<(), String> {
        let labels = metric.labels.iter();
        let labels: Vec<(&str, &str)> = labels
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let found = self.balancer.metric(&metric.name, &labels).await;
        if found == Some(metric.is) {
            return Ok(());
        }
        Err(format!("{} {labels:?} is {found:?}", metric.name))
    }

    /// Waits until every node has been probed so many times more.
    async fn rounds(&self, rounds: u32) {
        let probes = async |name: &String| {
            let count = "forebay_probe_duration_seconds_count";
            let count = self.balancer.metric(count, &[("node", name)]).await;
            count.unwrap_or(0.0)
        };
        let mut from = HashMap::new();
        for name in self.nodes.keys() {
            from.insert(name, probes(name).await);
        }
        for name in self.nodes.keys() {
            let wanted = from[name] + f64::from(rounds);
            let what = format!("rounds pass for {name}");
            soon(&what, async || probes(name).await >= wanted).await;
        }
        // The last probe of a round has been counted; its view comes a moment later.
        let served = async || {
            self.balancer
                .metric("forebay_served_block_number", &[])
                .await
        };
        soon("a head is served", async || served().await.is_some()).await;
    }
}

/// What the answers so far have said.
#[derive(Default)]
struct Memory {
    last: Option<Value>,
    highest: u64,
}

fn meets(expect: &Expect, said: &Value, node: &str, memory: &mut Memory) -> Result<(), String> {
    let error = &said["error"];
    if let Some(code) = expect.error
        && error["code"] != json!(code)
    {
        return Err(format!("expected the error {code}"));
    }
    if let Some(part) = &expect.says
        && !error["message"]
            .as_str()
            .is_some_and(|text| text.contains(part.as_str()))
    {
        return Err(format!("expected an error that says {part}"));
    }
    if let Some(part) = &expect.hides
        && said.to_string().contains(part.as_str())
    {
        return Err(format!("it shows {part}"));
    }
    if expect.refused && !error.is_object() {
        return Err("expected an error".to_string());
    }
    if let Some(result) = &expect.result
        && said.get("result") != Some(result)
    {
        return Err(format!("expected the result {result}"));
    }
    if expect.found && said["result"].is_null() {
        return Err("expected a result".to_string());
    }
    if let Some(names) = &expect.from
        && !names.iter().any(|name| name == node)
    {
        return Err(format!("{node} answered"));
    }
    let last = memory.last.replace(said["result"].clone());
    if expect.always_same && last.is_some_and(|last| last != said["result"]) {
        return Err("not the same as before".to_string());
    }
    if let Some(place) = &expect.never_falls {
        let number = said["result"].pointer(place).and_then(read_quantity);
        let number = number.ok_or("no quantity there")?;
        if number < memory.highest {
            return Err(format!("fell below {:#x}", memory.highest));
        }
        memory.highest = number;
    }
    Ok(())
}

async fn change(node: &FakeNode, told: &Node) {
    node.change(|behaviour| {
        behaviour.head = match (told.at, told.behind) {
            (Some(number), _) => FakeHead::At(number),
            (None, Some(blocks)) => FakeHead::Behind(blocks),
            (None, None) => behaviour.head,
        };
        behaviour.state_blocks = told.state_blocks.or(behaviour.state_blocks);
        for (method, result) in &told.results {
            let result = result.to_string();
            behaviour.results.insert(method.clone(), result);
        }
        for (method, error) in &told.errors {
            let error = FakeRpcError {
                code: error.code,
                message: error.message.clone(),
                data: error.data.as_ref().map(Value::to_string),
            };
            behaviour.errors.insert(method.clone(), error);
        }
        behaviour
            .facts
            .extend(told.facts.iter().map(|known| FixedResult {
                method: known.method.clone(),
                of: known.of.clone(),
                since: known.since,
                result: known.result.to_string(),
            }));
        behaviour
            .missing_methods
            .extend(told.missing.iter().cloned());
        if !told.hangs_up_on.is_empty() {
            behaviour.fault = Some(Fault::HangUp);
            behaviour.fault_methods = Some(told.hangs_up_on.iter().cloned().collect());
        }
        if told.object_for_batch {
            behaviour.fault = Some(Fault::ObjectForBatch);
            behaviour.fault_methods = None;
        }
        if let Some(status) = &told.status {
            behaviour.fault = Some(status_fault(status.code));
            behaviour.fault_methods = Some(status.methods.iter().cloned().collect());
        }
    });
    if let Some(says) = &told.says {
        node.change(|behaviour| {
            behaviour.fault = Some(Fault::Says {
                code: says.status,
                text: says.body.clone(),
            });
            behaviour.fault_methods = Some(says.methods.iter().cloned().collect());
        });
    }
    if told.refuses {
        node.refuse().await;
    }
}
