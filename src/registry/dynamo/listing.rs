//! Items into a list: in the order of their adding, one leader, what can't be read told.

use std::collections::BTreeSet;

use crate::registry::dynamo::changes::ListSnapshot;
use crate::registry::dynamo::row::DynamoRow;
use crate::registry::node_list::StoredNode as _;
use crate::registry::validation::{EnvironmentLookup, name_of};
use crate::registry::{Listing, RegistryItem};
use forebay_core::vocabulary::node::Role;

/// The rows in the order of their adding: a scan has none of its own.
pub(super) fn in_order(mut rows: Vec<DynamoRow>) -> Vec<DynamoRow> {
    rows.sort_by_cached_key(|row| (row.when_added().to_string(), row.url().to_string()));
    rows
}

/// What the rows, in order, mean.
pub(super) fn of(snapshot: &ListSnapshot, lookup: EnvironmentLookup<'_>) -> Listing {
    let mut listing = Listing::default();
    for row in &snapshot.rows {
        match row.item(lookup) {
            Ok(item) => listing.items.push(item),
            Err(why) => {
                let sentence = format!("{}: {why}", row.label(lookup));
                listing.rejected.push(sentence);
            }
        }
    }
    listing.is_emptied = snapshot.revision.is_emptied() && listing.items.is_empty();
    listing.is_unwritten = snapshot.revision.is_unwritten() && snapshot.rows.is_empty();
    let warning = one_leader(&mut listing.items, lookup);
    listing.warnings.extend(warning);
    listing
}

/// Of several leaders the one added last leads. The others stand by as fallback nodes: what was
/// marked as a leader is no own node, and may be paid for by the call.
fn one_leader(items: &mut [RegistryItem], lookup: EnvironmentLookup<'_>) -> Option<String> {
    let leaders = items.iter_mut().rev();
    let mut leaders = leaders.filter(|item| item.record.role == Role::Leader);
    let name = |item: &RegistryItem| name_of(item.record.name.as_deref(), &item.record.url, lookup);
    let last = name(leaders.next()?);
    let mut others = BTreeSet::new();
    for other in leaders {
        other.record.role = Role::Fallback;
        others.insert(name(other));
    }
    let others: Vec<_> = others.into_iter().collect();
    (!others.is_empty()).then(|| {
        format!(
            "several nodes are marked as the leader: {last}, which was added last, leads; \
             {} stand by as fallback",
            others.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::dynamo::requests::Attributes;
    use crate::registry::dynamo::state_table::Revision;
    use forebay_core::vocabulary::node::NodeRecord;

    fn read(revision: Revision, rows: Vec<DynamoRow>) -> Listing {
        of(&ListSnapshot { revision, rows }, &|_| None)
    }

    fn at(is_emptied: bool) -> Revision {
        Revision::At {
            version: 1,
            is_emptied,
        }
    }

    fn row(name: &str, role: Role, when_added: &str) -> DynamoRow {
        let mut record = NodeRecord::at(&format!("http://{name}"));
        record.role = role;
        DynamoRow::of(&RegistryItem::new(record, when_added.to_string()))
    }

    #[test]
    fn of_several_leaders_the_one_added_last_leads() {
        let rows = in_order(vec![
            row("c", Role::Leader, "2026-01-03"),
            row("a", Role::Leader, "2026-01-01"),
            row("d", Role::Own, "2026-01-04"),
            row("b", Role::Leader, "2026-01-02"),
        ]);
        let listing = read(at(false), rows);
        let roles: Vec<_> = listing.items.iter().map(|item| item.record.role).collect();
        let expected = [Role::Fallback, Role::Fallback, Role::Leader, Role::Own];
        assert_eq!(roles, expected);
        assert!(
            listing.warnings[0].contains("c:80, which was added last, leads; a:80, b:80 stand")
        );
    }

    #[test]
    fn one_leader_or_none_is_no_news() {
        for role in [Role::Leader, Role::Own] {
            let listing = read(at(false), vec![row("a", role, "")]);
            assert_eq!(listing.warnings, [""; 0]);
        }
    }

    #[test]
    fn only_a_list_without_any_node_was_emptied() {
        let damaged = || vec![DynamoRow::new(Attributes::new())];
        assert!(read(at(true), Vec::new()).is_emptied);
        assert!(read(at(true), damaged()).is_emptied);
        assert!(!read(at(false), Vec::new()).is_emptied);
        assert!(!read(at(true), vec![row("a", Role::Own, "")]).is_emptied);
    }

    #[test]
    fn only_a_table_without_anything_and_without_a_revision_was_never_written() {
        for revision in [Revision::New, Revision::Unkept] {
            assert!(read(revision, Vec::new()).is_unwritten);
            assert!(!read(revision, vec![DynamoRow::new(Attributes::new())]).is_unwritten);
        }
        assert!(!read(at(false), Vec::new()).is_unwritten);
    }
}
