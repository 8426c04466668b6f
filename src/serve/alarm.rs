//! An alarm clock that is set anew only when it must be.
//!
//! A timer costs more than most waits that it watches over. So it is left running when the wait is
//! over: when it goes off it is looked whether it was time, and it is set to when it will be.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::clock;

/// One alarm clock, for one wait at a time.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

/// It took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late;

impl Alarm {
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
    ) -> Result<T, Late> {
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
    ) -> Result<T, Late> {
        let mut deadline = None;
        let set = || *deadline.get_or_insert_with(|| clock::now() + time);
        self.wait(set, work).await
    }

    async fn wait<T>(
        &mut self,
        mut deadline: impl FnMut() -> Instant,
        work: impl Future<Output = T>,
    ) -> Result<T, Late> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(cx, deadline()).map(|()| Err(Late)),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn one_alarm_serves_earlier_and_later_waits_in_turn() {
        let mut alarm = Alarm::default();
        for (millis, rounds) in [(30, 1), (5, 2), (60, 1), (0, 1)] {
            for _ in 0..rounds {
                let began = clock::now();
                let time = Duration::from_millis(millis);
                assert_eq!(alarm.within(time, pending::<()>()).await, Err(Late));
                assert!(began.elapsed() >= time);
            }
        }
    }

    #[tokio::test]
    async fn an_alarm_left_running_rouses_nobody_too_early() {
        let mut alarm = Alarm::default();
        let soon = clock::now() + Duration::from_millis(5);
        let quick = alarm.until(soon, async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(quick.await, Ok(7));
        let later = clock::now() + Duration::from_millis(40);
        assert_eq!(alarm.until(later, pending::<()>()).await, Err(Late));
        assert!(clock::now() >= later);
        assert_eq!(alarm.until(soon, ready(7)).await, Ok(7), "done is done");
    }
}
