//! A listener that others wait for: it says that it is ready once its addresses are bound, so that
//! nobody who is answered at the endpoint is refused here.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::listening::Service;
use pingora::services::{Service as Starts, ServiceReadyNotifier, ServiceWithDependents};

/// The listener.
pub struct Bound<A>(pub Service<A>);

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServiceWithDependents for Bound<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let mut serving = pin!(Starts::start_service(
            &mut self.0,
            fds,
            shutdown,
            listeners_per_fd
        ));
        // It binds before it waits for anything but an address that is still in use.
        let looked = poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx)));
        if looked.await.is_pending() {
            ready.notify_ready();
            serving.await;
        }
    }

    fn name(&self) -> &str {
        Starts::name(&self.0)
    }

    fn threads(&self) -> Option<usize> {
        Starts::threads(&self.0)
    }
}
