//! Items into a list: in the order of their adding, one leader, what can't be read told.

use std::collections::BTreeSet;

use super::row::Row;
use crate::domain::node::Rung;
use crate::registry::reading::{Lookup, name_of};
use crate::registry::{Item, Listing};

/// The rows in the order of their adding: a scan has none of its own.
pub fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|one, other| {
        let key = |row: &Row| (row.when_added().to_string(), row.url().to_string());
        key(one).cmp(&key(other))
    });
    rows
}

/// What `rows`, in order, mean. `is_emptied`: somebody took the last node away on purpose.
pub fn of(rows: &[Row], is_emptied: bool, lookup: Lookup<'_>) -> Listing {
    let mut listing = Listing {
        is_emptied: is_emptied && rows.is_empty(),
        ..Listing::default()
    };
    for row in rows {
        match row.item(lookup) {
            Ok(item) => listing.items.push(item),
            Err(why) => {
                let sentence = format!("{}: {why}", row.label(lookup));
                listing.rejected.push(sentence);
            }
        }
    }
    listing
        .warnings
        .extend(one_leader(&mut listing.items, lookup));
    listing
}

/// Of several leaders the one added last leads. The others stand by as fallback nodes: what was
/// marked as a leader is no own node, and may be paid for by the call.
fn one_leader(items: &mut [Item], lookup: Lookup<'_>) -> Option<String> {
    let leaders = items.iter_mut().rev();
    let mut leaders = leaders.filter(|item| item.record.rung == Rung::Leader);
    let name = |item: &Item| name_of(item.record.name.as_deref(), &item.record.url, lookup);
    let last = name(leaders.next()?);
    let mut others = BTreeSet::new();
    for other in leaders {
        other.record.rung = Rung::Fallback;
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
    use crate::domain::node::NodeRecord;
    use crate::registry::Health;

    fn row(name: &str, rung: Rung, when_added: &str) -> Row {
        let mut record = NodeRecord::at(&format!("http://{name}"));
        record.rung = rung;
        Row::of(&Item {
            record,
            when_added: when_added.to_string(),
            former_weight: None,
            health: Health::default(),
        })
    }

    #[test]
    fn of_several_leaders_the_one_added_last_leads() {
        let rows = in_order(vec![
            row("c", Rung::Leader, "2026-01-03"),
            row("a", Rung::Leader, "2026-01-01"),
            row("d", Rung::Own, "2026-01-04"),
            row("b", Rung::Leader, "2026-01-02"),
        ]);
        let listing = of(&rows, false, &|_| None);
        let rungs: Vec<_> = listing.items.iter().map(|item| item.record.rung).collect();
        let expected = [Rung::Fallback, Rung::Fallback, Rung::Leader, Rung::Own];
        assert_eq!(rungs, expected);
        assert!(
            listing.warnings[0].contains("c:80, which was added last, leads; a:80, b:80 stand")
        );
    }

    #[test]
    fn one_leader_or_none_is_no_news() {
        for rung in [Rung::Leader, Rung::Own] {
            let listing = of(&[row("a", rung, "")], false, &|_| None);
            assert_eq!(listing.warnings, [""; 0]);
        }
    }

    #[test]
    fn only_a_list_without_any_row_was_emptied() {
        assert!(of(&[], true, &|_| None).is_emptied);
        assert!(!of(&[], false, &|_| None).is_emptied);
        assert!(!of(&[row("a", Rung::Own, "")], true, &|_| None).is_emptied);
    }
}
