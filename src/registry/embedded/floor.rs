//! The head that clients were told last: one row of a table of its own. Nothing waits for the disk: what a
//! killed machine loses of it is no more than a restart would have lost without it.

use rusqlite::{Connection, OptionalExtension as _, params};

use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber, ChainId};

const LAYOUT: &str = "CREATE TABLE IF NOT EXISTS floor (
    only_one INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    number INTEGER NOT NULL,
    hash TEXT,
    chain_id INTEGER,
    raised_at INTEGER NOT NULL
) STRICT";

/// What stands there. A file that was made before there were floors has none, and one that was edited to
/// nonsense has none either.
pub fn read(connection: &Connection) -> rusqlite::Result<Option<HeadFloor>> {
    if !has_table(connection)? {
        return Ok(None);
    }
    let row = connection.query_row(
        "SELECT number, hash, chain_id, raised_at FROM floor",
        [],
        |row| {
            let hash: Option<String> = row.get(1)?;
            Ok((row.get(0)?, hash, row.get(2)?, row.get(3)?))
        },
    );
    let found: Option<(i64, Option<String>, Option<i64>, i64)> = row.optional()?;
    Ok(found.and_then(|(number, hash, chain_id, raised_at)| {
        Some(HeadFloor {
            number: BlockNumber(u64::try_from(number).ok()?),
            hash: hash.as_deref().and_then(BlockHash::read),
            chain_id: chain_id.and_then(|id| u64::try_from(id).ok()).map(ChainId),
            raised_at: u64::try_from(raised_at).ok()?,
        })
    }))
}

/// Writes it, unless what stands there is higher and counts. Numbers that SQLite can't hold are left.
pub fn raise(connection: &Connection, write: &FloorWrite) -> rusqlite::Result<bool> {
    let floor = &write.floor;
    let whole = |number: u64| i64::try_from(number).ok();
    let (Some(number), Some(raised_at)) = (whole(floor.number.0), whole(floor.raised_at)) else {
        return Ok(false);
    };
    if !has_table(connection)? {
        connection.execute_batch(LAYOUT)?;
    }
    let stored = read(connection)?;
    if !floor.replaces(stored.as_ref(), write.lowers, floor.raised_at) {
        return Ok(false);
    }
    let hash = floor.hash.map(|hash| hash.to_string());
    let chain_id = floor.chain_id.and_then(|id| whole(id.0));
    connection.execute(
        "INSERT OR REPLACE INTO floor (only_one, number, hash, chain_id, raised_at) \
         VALUES (1, ?1, ?2, ?3, ?4)",
        params![number, hash, chain_id, raised_at],
    )?;
    Ok(true)
}

fn has_table(connection: &Connection) -> rusqlite::Result<bool> {
    let found =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'floor')";
    connection.query_row(found, [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u64, raised_at: u64, lowers: bool) -> FloorWrite {
        FloorWrite {
            floor: HeadFloor {
                number: BlockNumber(number),
                hash: Some(BlockHash([number as u8; 32])),
                chain_id: Some(ChainId(1)),
                raised_at,
            },
            lowers,
        }
    }

    #[test]
    fn it_rises_and_falls_only_when_it_is_to_be_lowered_or_a_minute_old() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(read(&connection).unwrap(), None, "of an earlier release");
        let minute = 60_000;
        for (number, at, lowers, wanted) in [
            (100, 1000, false, 100),
            (102, 2000, false, 102),
            (101, 3000, false, 102),
            (101, 3000, true, 101),
            (90, 3000 + minute - 1, false, 101),
            (90, 3000 + minute, false, 90),
        ] {
            raise(&connection, &write(number, at, lowers)).unwrap();
            let stands = read(&connection).unwrap().unwrap();
            assert_eq!(stands.number.0, wanted, "{number} {at}");
        }
        let huge = write(u64::MAX, 3000 + minute, true);
        assert!(!raise(&connection, &huge).unwrap());
        assert_eq!(
            read(&connection).unwrap(),
            Some(write(90, 63_000, false).floor)
        );
    }
}
