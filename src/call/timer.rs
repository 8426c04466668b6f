//! A timer that is set anew only when it must be.
//!
//! A timer costs more than most waits that it watches over. So it is left running when the wait is
//! over: when it goes off it is looked whether it was time, and it is set to when it will be.

use std::cell::RefCell;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};
use tokio::time::Sleep;

use crate::clock;

/// One timer, for one wait at a time.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

/// Timers that are kept on one thread for the next waits that need one.
const KEPT_MAX: usize = 256;

thread_local! {
    /// Each with the runtime whose timer it is.
    static KEPT: RefCell<Vec<(Id, Timer)>> = const { RefCell::new(Vec::new()) };
}

/// A timer for a while: it is kept running for the next wait that needs one.
#[derive(Debug)]
pub struct BorrowedTimer {
    runtime: Id,
    timer: Timer,
}

/// Lends a timer; only in a runtime, as all that waits.
pub fn lend() -> BorrowedTimer {
    let runtime = Handle::current().id();
    let kept = KEPT.with_borrow_mut(Vec::pop);
    let kept = kept.filter(|(made_in, _)| *made_in == runtime);
    BorrowedTimer {
        runtime,
        timer: kept.map(|(_, timer)| timer).unwrap_or_default(),
    }
}

impl Drop for BorrowedTimer {
    fn drop(&mut self) {
        let timer = std::mem::take(&mut self.timer);
        // Where the thread is ending nothing is kept.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push((self.runtime, timer));
            }
        });
    }
}

impl Deref for BorrowedTimer {
    type Target = Timer;

    fn deref(&self) -> &Timer {
        &self.timer
    }
}

impl DerefMut for BorrowedTimer {
    fn deref_mut(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

/// It took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded;

impl Timer {
    /// Ready once it is `deadline`.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        if sleep.is_elapsed() || sleep.deadline().into_std() > deadline {
            sleep.as_mut().reset(deadline.into());
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if clock::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline.into());
        }
        Poll::Pending
    }

    /// Waits for `work` until `deadline`.
    ///
    /// # Errors
    /// It took longer.
    pub async fn until<T>(
        &mut self,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> Result<T, DeadlineExceeded> {
        self.wait(|| deadline, work).await
    }

    /// Waits for `work` for `time`, at most. The time is read only if there is something to wait
    /// for.
    ///
    /// # Errors
    /// It took longer.
    pub async fn within<T>(
        &mut self,
        time: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, DeadlineExceeded> {
        let mut deadline = None;
        let set = || *deadline.get_or_insert_with(|| clock::now() + time);
        self.wait(set, work).await
    }

    async fn wait<T>(
        &mut self,
        mut deadline: impl FnMut() -> Instant,
        work: impl Future<Output = T>,
    ) -> Result<T, DeadlineExceeded> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(cx, deadline()).map(|()| Err(DeadlineExceeded)),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn one_timer_serves_earlier_and_later_waits_in_turn() {
        let mut timer = Timer::default();
        for (millis, rounds) in [(30, 1), (5, 2), (60, 1), (0, 1)] {
            for _ in 0..rounds {
                let began = clock::now();
                let time = Duration::from_millis(millis);
                assert_eq!(
                    timer.within(time, pending::<()>()).await,
                    Err(DeadlineExceeded)
                );
                assert!(began.elapsed() >= time);
            }
        }
    }

    #[tokio::test]
    async fn a_timer_left_running_rouses_no_call_too_early() {
        let mut timer = Timer::default();
        let soon = clock::now() + Duration::from_millis(5);
        let quick = timer.until(soon, async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(quick.await, Ok(7));
        let later = clock::now() + Duration::from_millis(40);
        assert_eq!(
            timer.until(later, pending::<()>()).await,
            Err(DeadlineExceeded)
        );
        assert!(clock::now() >= later);
        assert_eq!(timer.until(soon, ready(7)).await, Ok(7), "done is done");
    }

    #[test]
    fn a_timer_of_a_runtime_that_is_gone_is_never_lent() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                let soon = Duration::from_millis(1);
                assert_eq!(
                    lend().within(soon, pending::<()>()).await,
                    Err(DeadlineExceeded)
                );
                assert_eq!(
                    lend().within(soon, pending::<()>()).await,
                    Err(DeadlineExceeded)
                );
                assert_eq!(KEPT.with_borrow(Vec::len), 1);
            });
        }
    }
}
