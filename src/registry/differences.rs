//! How a registry differs from the configuration's nodes.

use std::fmt;

use crate::registry::validation::{EnvironmentLookup, identity_of, name_of};
use crate::registry::{ItemOrigin, RegistryItem};
use forebay_core::vocabulary::node::NodeRecord;

/// One thing that differs. Of URLs and headers only that they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The node's name.
    pub node: String,
    pub what: DifferenceKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    OnlyInFile,
    /// It comes in once a round has found it fit.
    Pending,
    OnlyInRegistry,
    /// A key, and what it is in the registry and in the file, where that may be shown.
    Key(&'static str, Option<(String, String)>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.node)?;
        match &self.what {
            DifferenceKind::OnlyInFile => f.write_str("only in the file"),
            DifferenceKind::Pending => f.write_str(
                "only in the file so far: the registry is of an earlier release, which may have \
                 been told to remove it; it comes in once a round has found it fit",
            ),
            DifferenceKind::OnlyInRegistry => f.write_str("only in the registry"),
            DifferenceKind::Key(key, Some((registry, file))) => {
                write!(f, "{key} is {registry}, and {file} in the file")
            }
            DifferenceKind::Key(key, None) => write!(f, "{key} is another than in the file"),
        }
    }
}

/// Where `items` differ from `file`: by node in the order of the file, then those that it lacks.
pub fn between(
    file: &[NodeRecord],
    items: &[RegistryItem],
    lookup: EnvironmentLookup<'_>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut rest: Vec<&RegistryItem> = items.iter().collect();
    for record in file {
        let identity = identity_of(&record.url, lookup);
        let is_it = |item: &&RegistryItem| identity_of(&item.record.url, lookup) == identity;
        let node = name_of(record.name.as_deref(), &record.url, lookup);
        let what = match rest.iter().position(is_it) {
            None => vec![DifferenceKind::OnlyInFile],
            Some(at) => of(record, rest.remove(at)),
        };
        let node = |what| Difference {
            node: node.clone(),
            what,
        };
        differences.extend(what.into_iter().map(node));
    }
    differences.extend(rest.into_iter().map(|item| Difference {
        node: name_of(item.record.name.as_deref(), &item.record.url, lookup),
        what: DifferenceKind::OnlyInRegistry,
    }));
    differences
}

/// The same in sentences, but for what is no news: beside a file that the registry follows others stand by
/// command, and without one they all do.
pub fn told(
    file: &[NodeRecord],
    items: &[RegistryItem],
    follows: bool,
    lookup: EnvironmentLookup<'_>,
) -> Vec<String> {
    let is_news = |difference: &Difference| match difference.what {
        DifferenceKind::OnlyInFile | DifferenceKind::Pending | DifferenceKind::Key(..) => true,
        DifferenceKind::OnlyInRegistry => !follows && !file.is_empty(),
    };
    let all = between(file, items, lookup).into_iter().filter(is_news);
    all.map(|difference| difference.to_string()).collect()
}

fn of(file: &NodeRecord, item: &RegistryItem) -> Vec<DifferenceKind> {
    if let ItemOrigin::File {
        is_pending: true, ..
    } = item.origin
    {
        return vec![DifferenceKind::Pending];
    }
    let record = &item.record;
    let name = |record: &NodeRecord| record.name.clone().unwrap_or_else(|| "none".to_string());
    let (ours, files) = (&record.purpose, &file.purpose);
    let keys = [
        shown("weight", &record.weight.get(), &file.weight.get()),
        shown("role", record.role.as_str(), file.role.as_str()),
        (record.name != file.name)
            .then(|| DifferenceKind::Key("name", Some((name(record), name(file))))),
        hidden("ws_url", &record.ws_url, &file.ws_url),
        shown("in_flight_max", &record.in_flight_max, &file.in_flight_max),
        shown("serves", &ours.serves, &files.serves),
        shown("recent_blocks", &ours.recent_blocks, &files.recent_blocks),
        hidden("headers", &record.headers, &file.headers),
    ];
    keys.into_iter().flatten().collect()
}

fn shown<T: PartialEq + ToString + ?Sized>(
    key: &'static str,
    ours: &T,
    files: &T,
) -> Option<DifferenceKind> {
    let values = || Some((ours.to_string(), files.to_string()));
    (ours != files).then(|| DifferenceKind::Key(key, values()))
}

/// Of what may hold a credential nothing is told but that it differs.
fn hidden<T: PartialEq>(key: &'static str, ours: &T, files: &T) -> Option<DifferenceKind> {
    (ours != files).then_some(DifferenceKind::Key(key, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::vocabulary::node::{Role, Weight};

    fn item(record: NodeRecord) -> RegistryItem {
        RegistryItem::new(record, String::new())
    }

    #[test]
    fn each_difference_is_told_by_node_and_nothing_secret_is() {
        let at = NodeRecord::at;
        let file = [
            at("http://same/${KEY}"),
            NodeRecord {
                headers: [("x".to_string(), "s3cret".to_string())].into(),
                ws_url: Some("ws://changed/s3cret".to_string()),
                name: Some("geth-1".to_string()),
                ..at("http://changed/s3cret")
            },
            at("http://new/s3cret"),
        ];
        let changed = NodeRecord {
            weight: Weight::NONE,
            role: Role::Leader,
            ..at("HTTP://changed:80/s3cret/")
        };
        let items = [at("http://gone/s3cret"), changed, at("http://same/${KEY}")].map(item);
        let told = between(&file, &items, &|_| None);
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "geth-1: weight is 0, and 1 in the file",
                "geth-1: role is leader, and own in the file",
                "geth-1: name is none, and geth-1 in the file",
                "geth-1: ws_url is another than in the file",
                "geth-1: headers is another than in the file",
                "new:80: only in the file",
                "gone:80: only in the registry",
            ]
        );
        assert_eq!(between(&file[..1], &[item(file[0].clone())], &|_| None), []);
    }
}
