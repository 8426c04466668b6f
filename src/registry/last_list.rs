//! The last good list on disk, for starting while the registry is out of reach.
//!
//! Records stand in it as written, so `${NAME}` stays unresolved. What an operator wrote out is
//! in it as well: the file is its owner's alone, and no error quotes it. A chain other than the default one
//! has a file of its own beside it, which names the chain.
//! Both functions block; call them from where that is allowed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::{
    InFlightMax, NodePurpose, NodeRecord, NodeSpecError, RecentBlocks, Role, ServedMethods, Weight,
};

/// The longest file that we read.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The layout that this program writes.
const VERSION: u64 = 1;

#[derive(Debug, Error)]
pub enum LastListError {
    #[error("{} is not there", .0.display())]
    Absent(PathBuf),
    #[error("{} can't be read or written: {why}", path.display())]
    File { path: PathBuf, why: io::Error },
    #[error("{} is not a list of nodes: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastList {
    version: u64,
    /// The chain of these nodes; not written for the default one, whose file earlier releases read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    nodes: Vec<LastListEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastListEntry {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ws_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    weight: u64,
    #[serde(rename = "rung", with = "LastListRole")]
    role: Role,
    #[serde(default, skip_serializing_if = "InFlightMax::is_auto")]
    in_flight_max: InFlightMax,
    #[serde(default, skip_serializing_if = "ServedMethods::is_all")]
    serves: ServedMethods,
    #[serde(default, skip_serializing_if = "RecentBlocks::is_all")]
    recent_blocks: RecentBlocks,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// As words.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Role", rename_all = "lowercase")]
enum LastListRole {
    Own,
    Leader,
    Fallback,
}

impl LastListEntry {
    fn of(record: &NodeRecord) -> LastListEntry {
        LastListEntry {
            url: record.url.clone(),
            ws_url: record.ws_url.clone(),
            name: record.name.clone(),
            weight: record.weight.get().into(),
            role: record.role,
            in_flight_max: record.in_flight_max,
            serves: record.purpose.serves.clone(),
            recent_blocks: record.purpose.recent_blocks,
            headers: record.headers.clone(),
        }
    }

    fn record(self) -> Result<NodeRecord, NodeSpecError> {
        Ok(NodeRecord {
            url: self.url,
            ws_url: self.ws_url,
            name: self.name,
            weight: Weight::new(self.weight)?,
            role: self.role,
            in_flight_max: self.in_flight_max,
            purpose: NodePurpose {
                serves: self.serves,
                recent_blocks: self.recent_blocks,
            },
            headers: self.headers,
        })
    }
}

/// One record as a line of JSON. It holds what its URL and headers hold.
pub fn text_of(record: &NodeRecord) -> String {
    serde_json::to_string(&LastListEntry::of(record)).unwrap_or_default()
}

/// What [`text_of`] wrote.
///
/// # Errors
/// It is something else; nothing of it is in the sentence.
pub fn record_of(text: &str) -> Result<NodeRecord, NodeSpecError> {
    let entry: LastListEntry = serde_json::from_str(text)
        .map_err(|why| NodeSpecError::UrlMalformed(format!("column {}", why.column())))?;
    entry.record()
}

/// Where the last list of one chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastListFile {
    path: PathBuf,
    chain: Option<ChainName>,
}

impl LastListFile {
    /// Of `chain`, beside the default one's at `path`: `last-list.json`, `last-list-base.json`. `None`: of
    /// the default one.
    pub fn new(path: &Path, chain: Option<&ChainName>) -> LastListFile {
        let path = match chain {
            None => path.to_path_buf(),
            Some(chain) => {
                let mut name = path.file_stem().unwrap_or_default().to_os_string();
                name.push(format!("-{chain}"));
                if let Some(end) = path.extension() {
                    name.push(".");
                    name.push(end);
                }
                path.with_file_name(name)
            }
        };
        LastListFile {
            path,
            chain: chain.cloned(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes `records` to `file`, whole or not at all, when they differ from what stands there;
/// says whether it wrote. Creates the folder.
///
/// # Errors
/// [`LastListError::File`].
pub fn save(file: &LastListFile, records: &[NodeRecord]) -> Result<bool, LastListError> {
    let path = file.path();
    let failed = |why: io::Error| LastListError::File {
        path: path.to_path_buf(),
        why,
    };
    let page = LastList {
        version: VERSION,
        chain: file.chain.as_ref().map(ChainName::to_string),
        nodes: records.iter().map(LastListEntry::of).collect(),
    };
    let text = serde_json::to_vec_pretty(&page).map_err(|why| failed(why.into()))?;
    if read(path).is_ok_and(|standing| standing == text) {
        return Ok(false);
    }
    replace(path, &text).map_err(failed)?;
    Ok(true)
}

/// Takes away the drafts of processes that were killed while they wrote.
pub fn tidy(file: &LastListFile) {
    let path = file.path();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let name = name.to_string_lossy();
    let drafts = fs::read_dir(folder).into_iter().flatten().flatten();
    for draft in drafts {
        let found = draft.file_name();
        let found = found.to_string_lossy();
        let writer = found.strip_prefix(&*name).and_then(|rest| {
            let id = rest.strip_prefix('.')?.strip_suffix(".new")?;
            id.parse::<u32>().ok()
        });
        let is_gone = |id: u32| !Path::new("/proc").join(id.to_string()).exists();
        if writer.is_some_and(is_gone) {
            // Where that fails, another process that tidies up has done it.
            drop(fs::remove_file(draft.path()));
        }
    }
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// See [`LastListError`]; one entry that can't be understood spoils the file.
pub fn load(file: &LastListFile) -> Result<Vec<NodeRecord>, LastListError> {
    let path = file.path();
    let malformed = |why: String| LastListError::Malformed {
        path: path.to_path_buf(),
        why,
    };
    let text = read(path).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => LastListError::Absent(path.to_path_buf()),
        _ => LastListError::File {
            path: path.to_path_buf(),
            why,
        },
    })?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(malformed(format!("it is over {FILE_BYTES_MAX} bytes")));
    }
    // serde's own sentence may quote a value, and a value may be a key: only its place is told.
    let page: LastList = serde_json::from_slice(&text).map_err(|why| {
        malformed(format!(
            "line {}, column {} can't be understood",
            why.line(),
            why.column()
        ))
    })?;
    if page.version != VERSION {
        return Err(malformed(format!("its version is {}", page.version)));
    }
    if page.chain.as_deref() != file.chain.as_ref().map(ChainName::as_str) {
        return Err(malformed("it is another chain's".to_string()));
    }
    let records = page.nodes.into_iter().map(LastListEntry::record);
    records
        .collect::<Result<_, _>>()
        .map_err(|fault| malformed(fault.to_string()))
}

/// The file's bytes, at most one more than [`FILE_BYTES_MAX`].
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)?;
    Ok(text)
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut draft = path.as_os_str().to_os_string();
    draft.push(format!(".{}.new", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = write_draft(&draft, text).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first error tells more than one about the draft would.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(draft: &Path, text: &[u8]) -> io::Result<()> {
    // A draft left by a process that died may have any mode: start from none.
    match fs::remove_file(draft) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn at(path: &Path) -> LastListFile {
        LastListFile::new(path, None)
    }

    #[test]
    fn another_chains_list_stands_in_a_file_of_its_own_and_is_taken_for_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        let [base, gnosis] = ["base", "gnosis"].map(|name| name.parse::<ChainName>().unwrap());
        let of_base = LastListFile::new(&path, Some(&base));
        assert_eq!(of_base.path(), folder.path().join("last-list-base.json"));
        let without_end = LastListFile::new(Path::new("data/list"), Some(&base));
        assert_eq!(without_end.path(), Path::new("data/list-base"));
        assert!(save(&of_base, &records()).unwrap());
        assert_eq!(load(&of_base).unwrap(), records());
        assert!(matches!(load(&at(&path)), Err(LastListError::Absent(_))));
        let of_gnosis = LastListFile::new(&path, Some(&gnosis));
        fs::copy(of_base.path(), of_gnosis.path()).unwrap();
        fs::copy(of_base.path(), &path).unwrap();
        for other in [of_gnosis, at(&path)] {
            let why = load(&other).unwrap_err().to_string();
            assert!(why.contains("another chain's"), "{why}");
        }
    }

    #[test]
    fn the_default_chains_file_is_what_earlier_releases_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        save(&at(&path), &[NodeRecord::at("http://a")]).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let members: Vec<_> = written.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["nodes", "version"],
            "they refuse what they don't know"
        );
    }

    fn records() -> Vec<NodeRecord> {
        vec![
            NodeRecord {
                ws_url: Some("ws://a:8546".to_string()),
                name: Some("geth-1".to_string()),
                weight: Weight::new(1000).unwrap(),
                headers: [("authorization".to_string(), "Bearer ${KEY}".to_string())].into(),
                ..NodeRecord::at("http://a:8545")
            },
            forebay_core::testing::leader("${LEADER_URL}"),
            NodeRecord {
                role: Role::Fallback,
                weight: Weight::new(0).unwrap(),
                ..NodeRecord::at("https://b/key")
            },
        ]
    }

    #[test]
    fn what_was_saved_is_loaded_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/last-list.json");
        assert!(save(&at(&path), &records()).unwrap());
        assert_eq!(load(&at(&path)).unwrap(), records());
        assert!(save(&at(&path), &[]).unwrap());
        assert_eq!(load(&at(&path)).unwrap(), []);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no draft is left behind");
    }

    #[test]
    fn an_unchanged_list_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        save(&at(&path), &records()).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        assert!(!save(&at(&path), &records()).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        assert!(save(&at(&path), &records()[1..]).unwrap());
        assert_ne!(fs::metadata(&path).unwrap().ino(), before);
    }

    #[test]
    fn a_bad_file_is_told_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        assert!(matches!(load(&at(&path)), Err(LastListError::Absent(_))));
        for (text, told) in [
            ("", "line 1, column 0"),
            (r#"{"version":1,"nodes":"s3cret"}"#, "line 1"),
            (r#"{"version":2,"nodes":[]}"#, "its version is 2"),
            (
                r#"{"version":1,"nodes":[{"url":"http://a/s3cret","weight":1001,"rung":"own"}]}"#,
                "weight 1001",
            ),
            (
                r#"{"version":1,"nodes":[{"url":"http://a","weight":1,"rung":"s3cret"}]}"#,
                "line 1",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let sentence = load(&at(&path)).unwrap_err().to_string();
            assert!(sentence.contains(told), "{sentence}");
            assert!(!sentence.contains("s3cret"), "{sentence}");
        }
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        let mut text = br#"{"version":1,"nodes":[]}"#.to_vec();
        text.resize(usize::try_from(FILE_BYTES_MAX).unwrap(), b' ');
        fs::write(&path, &text).unwrap();
        assert_eq!(load(&at(&path)).unwrap(), []);
        text.push(b' ');
        fs::write(&path, &text).unwrap();
        assert!(load(&at(&path)).unwrap_err().to_string().contains("over"));
    }

    #[test]
    fn drafts_of_killed_processes_are_taken_away_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = child.id();
        child.wait().unwrap();
        let named = |name: String| folder.path().join(name);
        let draft = named(format!("last-list.json.{gone}.new"));
        let others = [
            named(format!("last-list.json.{}.new", std::process::id())),
            named(format!("other.json.{gone}.new")),
            named("last-list.json.mine.new".to_string()),
        ];
        for file in others.iter().chain([&draft, &path]) {
            fs::write(file, "half").unwrap();
        }
        tidy(&at(&path));
        assert!(!draft.exists());
        assert!(others.iter().chain([&path]).all(|file| file.exists()));
        tidy(&at(&folder.path().join("nowhere/last-list.json")));
    }

    #[test]
    fn a_draft_left_behind_and_a_place_that_is_a_folder_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-list.json");
        let draft = format!("{}.{}.new", path.display(), std::process::id());
        fs::write(&draft, "half").unwrap();
        assert!(save(&at(&path), &records()).unwrap());
        assert_eq!(load(&at(&path)).unwrap(), records());
        let refused = save(&at(folder.path()), &records()).unwrap_err();
        assert!(matches!(refused, LastListError::File { .. }));
    }
}
