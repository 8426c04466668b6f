//! The head that clients were told last: one row of a table of its own, and one for each other chain in the
//! table beside it. Nothing waits for the disk: what a killed machine loses of it is no more than a restart
//! would have lost without it.

use rusqlite::{Connection, OptionalExtension as _, params};

use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber, ChainId, ChainName};

/// Where a chain's row stands.
struct FloorPlace {
    table: &'static str,
    key: &'static str,
    key_type: &'static str,
    /// As SQL has it.
    row: String,
}

impl FloorPlace {
    /// `None`: the default one's, which earlier releases know.
    fn of(chain: Option<&ChainName>) -> FloorPlace {
        match chain {
            None => FloorPlace {
                table: "floor",
                key: "only_one",
                key_type: "INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1)",
                row: "1".to_string(),
            },
            Some(chain) => FloorPlace {
                table: "chain_floor",
                key: "chain",
                key_type: "TEXT NOT NULL PRIMARY KEY",
                // A name has no quotes.
                row: format!("'{chain}'"),
            },
        }
    }

    fn layout(&self) -> String {
        let FloorPlace {
            table,
            key,
            key_type,
            ..
        } = self;
        format!(
            "CREATE TABLE IF NOT EXISTS {table} ({key} {key_type}, number INTEGER NOT NULL, hash TEXT, \
             chain_id INTEGER, raised_at INTEGER NOT NULL) STRICT"
        )
    }

    fn is_there(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let found =
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
        connection.query_row(found, [self.table], |row| row.get(0))
    }
}

/// What stands there. A file that was made before there were floors has none, and one that was edited to
/// nonsense has none either.
pub(super) fn read(
    connection: &Connection,
    chain: Option<&ChainName>,
) -> rusqlite::Result<Option<HeadFloor>> {
    let place = FloorPlace::of(chain);
    let FloorPlace {
        table, key, row, ..
    } = &place;
    let question =
        format!("SELECT number, hash, chain_id, raised_at FROM {table} WHERE {key} = {row}");
    let row = connection.query_row(&question, [], |row| {
        let hash: Option<String> = row.get(1)?;
        Ok((row.get(0)?, hash, row.get(2)?, row.get(3)?))
    });
    let found: Option<(i64, Option<String>, Option<i64>, i64)> = match row.optional() {
        Ok(found) => found,
        // Only then: it is asked time and again.
        Err(_) if !place.is_there(connection)? => None,
        Err(why) => return Err(why),
    };
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
pub(super) fn raise(
    connection: &Connection,
    chain: Option<&ChainName>,
    write: &FloorWrite,
) -> rusqlite::Result<bool> {
    let floor = &write.floor;
    let whole = |number: u64| i64::try_from(number).ok();
    let (Some(number), Some(raised_at)) = (whole(floor.number.0), whole(floor.raised_at)) else {
        return Ok(false);
    };
    let place = FloorPlace::of(chain);
    if !place.is_there(connection)? {
        connection.execute_batch(&place.layout())?;
    }
    let stored = read(connection, chain)?;
    if !floor.replaces(stored.as_ref(), write.lowers, floor.raised_at) {
        return Ok(false);
    }
    let hash = floor.hash.map(|hash| hash.to_string());
    let chain_id = floor.chain_id.and_then(|id| whole(id.0));
    let FloorPlace {
        table, key, row, ..
    } = place;
    let statement = format!(
        "INSERT OR REPLACE INTO {table} ({key}, number, hash, chain_id, raised_at) \
         VALUES ({row}, ?1, ?2, ?3, ?4)"
    );
    connection.execute(&statement, params![number, hash, chain_id, raised_at])?;
    Ok(true)
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
        assert_eq!(
            read(&connection, None).unwrap(),
            None,
            "of an earlier release"
        );
        let minute = 60_000;
        for (number, at, lowers, wanted) in [
            (100, 1000, false, 100),
            (102, 2000, false, 102),
            (101, 3000, false, 102),
            (101, 3000, true, 101),
            (90, 3000 + minute - 1, false, 101),
            (90, 3000 + minute, false, 90),
        ] {
            raise(&connection, None, &write(number, at, lowers)).unwrap();
            let stands = read(&connection, None).unwrap().unwrap();
            assert_eq!(stands.number.0, wanted, "{number} {at}");
        }
        let huge = write(u64::MAX, 3000 + minute, true);
        assert!(!raise(&connection, None, &huge).unwrap());
        assert_eq!(
            read(&connection, None).unwrap(),
            Some(write(90, 63_000, false).floor)
        );
    }

    #[test]
    fn each_chain_has_its_own() {
        let connection = Connection::open_in_memory().unwrap();
        let [base, gnosis] = ["base", "gnosis"].map(|name| name.parse::<ChainName>().unwrap());
        let chains = [None, Some(&base), Some(&gnosis)];
        for (at, chain) in chains.into_iter().enumerate() {
            assert_eq!(read(&connection, chain).unwrap(), None);
            raise(&connection, chain, &write(100 - at as u64, 1000, false)).unwrap();
        }
        for (at, chain) in chains.into_iter().enumerate() {
            let stands = read(&connection, chain).unwrap().unwrap();
            assert_eq!(stands.number.0, 100 - at as u64);
        }
    }
}
