//! Turns at the disk: what blocks runs on few threads, however many chains there are. Each thread that has once
//! worked keeps memory of its own for a while.

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// Pieces of work at once.
pub const TURNS: usize = 8;

static FREE: Semaphore = Semaphore::const_new(TURNS);

/// Does `work` on a thread that may block, when it is its turn.
///
/// # Errors
/// It panicked.
pub async fn take_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // It is never closed.
    let _turn = FREE.acquire().await;
    spawn_blocking(work).await
}
