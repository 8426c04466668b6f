//! The listeners for calls: they close when we say so, long before the process ends, and when Pingora
//! says so.

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use tokio::sync::watch;

/// The listeners, and the signal that closes them.
pub(super) struct ClosableService<S> {
    pub service: S,
    pub close: watch::Receiver<bool>,
}

#[async_trait]
impl<S: ServiceWithDependents> ServiceWithDependents for ClosableService<S> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let (closes, closed) = watch::channel(false);
        let serving = self
            .service
            .start_service(fds, closed, listeners_per_fd, ready);
        tokio::pin!(serving);
        let is_told = |told: &bool| *told;
        tokio::select! {
            () = &mut serving => return,
            // The sender that would say so is gone: it is the end, too.
            _ = self.close.wait_for(is_told) => {}
            _ = shutdown.wait_for(is_told) => {}
        }
        closes.send_replace(true);
        serving.await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}
