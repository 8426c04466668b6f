//! Numbers that stand together in the store under names of their own. It isn't for calls: it waits as long as
//! it takes.

use bytes::Bytes;
use redis::{Cmd, Value};

use super::{SharedStore, prefixed, upkeep};

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldWrite {
    Anyway,
    /// Where there is none of that name.
    IfMissing,
}

impl SharedStore {
    /// All fields of `key`; none of them where there are more than `most`. `None`: they aren't known.
    pub async fn fields(&self, key: &str, most: usize) -> Option<Vec<(Bytes, Bytes)>> {
        let mut count = redis::cmd("HLEN");
        count.arg(prefixed(key));
        let Value::Int(count) = self.patiently("get", &count).await? else {
            return None;
        };
        if !usize::try_from(count).is_ok_and(|count| count <= most) {
            return Some(Vec::new());
        }
        let mut all = redis::cmd("HGETALL");
        all.arg(prefixed(key));
        let flat = match self.patiently("get", &all).await? {
            Value::Array(flat) => flat,
            Value::Map(pairs) => pairs.into_iter().flat_map(|it| [it.0, it.1]).collect(),
            _ => return None,
        };
        let texts: Option<Vec<Bytes>> = flat
            .into_iter()
            .map(|value| match value {
                Value::BulkString(bytes) => Some(bytes.into()),
                _ => None,
            })
            .collect();
        let pairs = texts?;
        let pairs = pairs.chunks_exact(2);
        Some(pairs.map(|it| (it[0].clone(), it[1].clone())).collect())
    }

    /// Writes a field; `false`: it isn't known to stand there.
    pub async fn set_field(&self, key: &str, (name, value): (&str, &str), how: FieldWrite) -> bool {
        let mut command = redis::cmd(match how {
            FieldWrite::Anyway => "HSET",
            FieldWrite::IfMissing => "HSETNX",
        });
        command.arg(prefixed(key)).arg(name).arg(value);
        self.patiently("write", &command).await.is_some()
    }

    /// Nothing stands under `key` any more; `false`: that isn't known.
    pub async fn remove(&self, key: &str) -> bool {
        let mut command = redis::cmd("DEL");
        command.arg(prefixed(key));
        self.patiently("write", &command).await.is_some()
    }

    /// Waits longer than calls may, and doesn't count with what they ask. `operation`: for the metrics.
    pub(super) async fn patiently(&self, operation: &'static str, command: &Cmd) -> Option<Value> {
        let connection = self.connection.load_full()?;
        let asked = tokio::time::timeout(upkeep::BEHIND_MAX, connection.ask(command)).await;
        let said = asked.ok().and_then(Result::ok);
        if said.is_none() {
            self.metrics.store_failed(operation);
        }
        said
    }
}
