//! The head that clients were told last, on disk beside the last list: for a start while the registry is
//! out of reach. It is no loss where it is missing or odd.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use forebay_core::fleet::head_floor::HeadFloor;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber, ChainId};

/// The longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct LastHead {
    number: u64,
    hash: Option<String>,
    chain_id: Option<u64>,
    raised_at: u64,
}

/// Where it stands for a last list at `last_list`.
pub fn beside(last_list: &Path) -> PathBuf {
    last_list.with_extension("head.json")
}

/// Writes it, whole or not at all, and doesn't wait for the disk. It blocks.
///
/// # Errors
/// The file can't be written.
pub fn save(path: &Path, floor: &HeadFloor) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let page = LastHead {
        number: floor.number.0,
        hash: floor.hash.map(|hash| hash.to_string()),
        chain_id: floor.chain_id.map(|id| id.0),
        raised_at: floor.raised_at,
    };
    let draft = path.with_extension(format!("json.{}.new", std::process::id()));
    fs::write(&draft, serde_json::to_vec(&page)?)?;
    fs::rename(&draft, path)
}

/// Reads what [`save`] wrote; `None`: nothing that can be understood stands there. It blocks.
pub fn load(path: &Path) -> Option<HeadFloor> {
    let is_short = fs::metadata(path).is_ok_and(|found| found.len() <= FILE_BYTES_MAX);
    let text = is_short.then(|| fs::read(path).ok()).flatten()?;
    let page: LastHead = serde_json::from_slice(&text).ok()?;
    Some(HeadFloor {
        number: BlockNumber(page.number),
        hash: page.hash.as_deref().and_then(BlockHash::read),
        chain_id: page.chain_id.map(ChainId),
        raised_at: page.raised_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_anything_else_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = beside(&folder.path().join("data/last-list.json"));
        assert!(path.ends_with("data/last-list.head.json"), "{path:?}");
        assert_eq!(load(&path), None);
        let floor = HeadFloor {
            number: BlockNumber(100),
            hash: Some(BlockHash([7; 32])),
            chain_id: Some(ChainId(1)),
            raised_at: 1_000_000,
        };
        for floor in [
            floor,
            HeadFloor {
                hash: None,
                chain_id: None,
                ..floor
            },
        ] {
            save(&path, &floor).unwrap();
            assert_eq!(load(&path), Some(floor));
        }
        for text in ["", "{}", "[1]", r#"{"number":-1,"raised_at":1}"#] {
            fs::write(&path, text).unwrap();
            assert_eq!(load(&path), None, "{text}");
        }
        let mut long =
            serde_json::to_vec(&serde_json::json!({"number": 1, "raised_at": 1})).unwrap();
        long.resize(FILE_BYTES_MAX as usize, b' ');
        fs::write(&path, &long).unwrap();
        assert!(load(&path).is_some(), "at the limit");
        long.push(b' ');
        fs::write(&path, &long).unwrap();
        assert_eq!(load(&path), None, "one past it");
    }
}
