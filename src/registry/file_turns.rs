//! Turns at the small files of chains: what blocks there runs on few threads, however many chains there are.

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
    // It is never closed. The turn lasts as long as the work, though its caller may have left.
    let turn = FREE.acquire().await;
    spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    })
    .await
}
