//! How a file is opened: made where there is none, and waited for while others make it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::PATIENCE;
use crate::clock;
use crate::registry::embedded::table::{self, DatabaseError};

/// Between two tries to open a file that others are opening too.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Makes the folder and an empty file, which is a new database. SQLite gives the files it puts
/// beside it the same mode.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => Err(why),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// SQLite gives up at once, whatever its timeout, when two processes turn a new file to WAL at
/// the same moment; so we try again ourselves.
pub(super) fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    let deadline = clock::now() + PATIENCE;
    loop {
        match try_connect(path) {
            Err(DatabaseError::Store(why)) if is_busy(&why) && clock::now() < deadline => {
                thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn try_connect(path: &Path) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    table::prepare(&mut connection)?;
    table::look_over(&connection)?;
    Ok(connection)
}

fn is_busy(why: &rusqlite::Error) -> bool {
    matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
