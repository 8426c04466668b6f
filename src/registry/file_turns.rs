//! Turns at the files of chains, a registry's in a file among them: what blocks there runs on few threads,
//! however many chains there are.
//!
//! They are threads of their own. Of tokio's there would be as many as ever were wanted at one moment, each with
//! memory that stays its own; and names that can't be resolved would take those that there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};
use std::thread;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

/// Pieces of work at once.
pub const TURNS: usize = 4;

/// Why there is no outcome: the work panicked, or there is no thread for it.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("it panicked, or there is no thread for it")]
pub struct TurnLost;

type Work = Box<dyn FnOnce() + Send>;

/// The work that waits for its turn.
static QUEUE: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (queue, work) = channel();
    let work = Arc::new(Mutex::new(work));
    for _ in 0..TURNS {
        let work = work.clone();
        let thread = thread::Builder::new().name("files".to_string());
        if let Err(why) = thread.spawn(move || give_turns(&work)) {
            log::error!("a thread for files can't be begun: {why}");
        }
    }
    queue
});

static FREE: Semaphore = Semaphore::const_new(TURNS);

/// Does `work` on a thread that may block, when it is its turn. Once begun it is done though its caller leaves;
/// one that leaves before that leaves nothing behind.
///
/// # Errors
/// It panicked.
pub async fn take_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TurnLost> {
    // It is never closed.
    let turn = FREE.acquire().await;
    let (tell, told) = oneshot::channel();
    let work = Box::new(move || {
        let _turn = turn;
        drop(tell.send(work()));
    });
    QUEUE.send(work).map_err(|_| TurnLost)?;
    told.await.map_err(|_| TurnLost)
}

fn give_turns(work: &Mutex<Receiver<Work>>) {
    loop {
        let next = work.lock().recv();
        let Ok(next) = next else { return };
        // A panic was told and counted where it happened; the waiting caller hears that there is no outcome.
        drop(catch_unwind(AssertUnwindSafe(next)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn whatever_is_to_be_done_is_done_on_as_many_threads_as_there_are_turns() {
        let work = (0..200).map(|number| {
            take_turn(move || {
                thread::yield_now();
                (number, thread::current().id())
            })
        });
        let done: Vec<_> = join_all(work)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert!(done.iter().map(|(number, _)| *number).eq(0..200));
        let threads: HashSet<_> = done.iter().map(|(_, thread)| *thread).collect();
        assert!(threads.len() <= TURNS, "{threads:?}");
    }

    #[tokio::test]
    async fn so_many_turns_are_had_at_once() {
        let all = Arc::new(Barrier::new(TURNS));
        let meet = |_| {
            let all = all.clone();
            take_turn(move || {
                all.wait();
            })
        };
        let met = join_all((0..TURNS).map(meet)).await;
        assert!(met.iter().all(Result::is_ok), "{met:?}");
    }

    #[tokio::test]
    async fn a_panic_costs_its_caller_the_outcome_and_no_caller_a_turn() {
        for _ in 0..=TURNS {
            let lost = take_turn(|| assert_eq!(1, 2, "so that it panics")).await;
            assert_eq!(lost, Err(TurnLost));
        }
        assert_eq!(take_turn(|| 7).await, Ok(7));
    }
}
