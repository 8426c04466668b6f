//! Services as we run them: none may end alone. A process that has lost one looks alive from outside
//! and serves no call, or serves by a list that it follows no more; it is better replaced.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use pingora::apps::ServerApp;
use pingora::server::{ListenFds, Server, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use pingora::services::{
    Service as Starts, ServiceHandle, ServiceReadyNotifier, ServiceWithDependents,
};
use tokio::sync::Notify;

use crate::observe::metrics::ProcessMetrics;

/// What the process ends with when a service has ended; a panic of the main thread does the same.
const EXIT_CODE: i32 = 101;

/// Counts each panic and gives it a line, of its place alone: its message may quote what a client or
/// a node sent. The task that panicked ends, and with it the connection or call that it was for.
pub(super) fn watch_panics(metrics: Arc<ProcessMetrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panicked();
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("a thread").to_string();
        log::error!("a task of {thread} panicked at {place} and has ended; please report it");
    }));
}

/// Makes a service panic, so that a test can see what becomes of the process.
#[derive(Clone)]
pub struct PanicTrigger {
    pub service: String,
    wire: Arc<Notify>,
}

impl PanicTrigger {
    pub fn trip(&self) {
        self.wire.notify_one();
    }
}

/// A service with which the process lives and ends.
struct CriticalService<S> {
    service: S,
    /// True once the process is to end, or its listeners have gone to another.
    leaving: ShutdownWatch,
    wire: Arc<Notify>,
}

#[async_trait]
impl<S: ServiceWithDependents> ServiceWithDependents for CriticalService<S> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let name = self.service.name().to_string();
        let endings = [shutdown.clone(), self.leaving.clone()];
        let serving = self
            .service
            .start_service(fds, shutdown, listeners_per_fd, ready);
        let wire = self.wire.clone();
        #[expect(
            clippy::panic,
            reason = "pulled by tests alone, to see that the process ends"
        )]
        let tripped = async move {
            wire.notified().await;
            std::panic::panic_any("the tripwire");
        };
        if !ends_in_time(
            async {
                tokio::select! { () = serving => (), () = tripped => () }
            },
            &endings,
        )
        .await
        {
            log::error!("the service {name} has ended: so does the process");
            std::process::exit(EXIT_CODE);
        }
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}

/// The services of a server, each of which is vital.
pub(super) struct ServiceSet {
    leaving: ShutdownWatch,
    pub tripwires: Vec<PanicTrigger>,
}

impl ServiceSet {
    pub(super) fn new(leaving: ShutdownWatch) -> ServiceSet {
        ServiceSet {
            leaving,
            tripwires: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        server: &mut Server,
        service: impl ServiceWithDependents + 'static,
    ) -> ServiceHandle {
        let wire = Arc::<Notify>::default();
        self.tripwires.push(PanicTrigger {
            service: service.name().to_string(),
            wire: wire.clone(),
        });
        server.add_service(CriticalService {
            service,
            leaving: self.leaving.clone(),
            wire,
        })
    }

    /// Adds background work, on so many threads.
    pub(super) fn background(
        &mut self,
        server: &mut Server,
        (name, threads): (&str, usize),
        task: impl BackgroundService + Send + Sync + 'static,
    ) {
        let mut service = background_service(name, task);
        service.threads = Some(threads);
        self.add(server, service);
    }
}

/// Whether `serving` ended because one of `endings` said so.
async fn ends_in_time(serving: impl Future<Output = ()>, endings: &[ShutdownWatch]) -> bool {
    let ended = AssertUnwindSafe(serving).catch_unwind().await;
    ended.is_ok() && endings.iter().any(|ending| *ending.borrow())
}

/// Listeners with the same app, which are ready once all their addresses are bound, so that a service that
/// waits for them serves no call before. Each is one of its own, so that the end of one is noticed.
pub(super) struct Listeners<A> {
    pub name: &'static str,
    pub threads: Option<usize>,
    pub listeners: Vec<Service<A>>,
    /// What the log says when they are ready.
    pub says: String,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServiceWithDependents for Listeners<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let ending = shutdown.clone();
        let start = |listener| {
            Starts::start_service(listener, fds.clone(), shutdown.clone(), listeners_per_fd)
        };
        let mut serving: Vec<_> = self.listeners.iter_mut().map(start).collect();
        // Each binds before it waits for anything but an address that is still in use.
        let are_pending = poll_fn(|cx| {
            let pending = serving
                .iter_mut()
                .map(|one| one.as_mut().poll(cx).is_pending());
            Poll::Ready(pending.collect::<Vec<_>>())
        });
        if are_pending.await.iter().any(|is_pending| !is_pending) {
            return;
        }
        log::info!("{}", self.says);
        ready.notify_ready();
        let ((), _, others) = select_all(serving).await;
        if *ending.borrow() {
            join_all(others).await;
        }
    }

    fn name(&self) -> &str {
        self.name
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn only_a_service_that_was_told_to_end_ends_in_time() {
        let (tell, told) = watch::channel(false);
        let endings = [watch::channel(false).1, told];
        assert!(!ends_in_time(async {}, &endings).await, "it wasn't told to");
        let panics = async { std::panic::panic_any("a fault of ours") };
        assert!(!ends_in_time(panics, &endings).await);
        let elsewhere = async {
            let task = tokio::spawn(async { std::panic::panic_any("a fault of ours") });
            drop(task.await);
        };
        assert!(
            !ends_in_time(elsewhere, &endings).await,
            "its accept loop has panicked"
        );
        tell.send_replace(true);
        assert!(ends_in_time(async {}, &endings).await);
        let panics = async { std::panic::panic_any("a fault of ours") };
        assert!(
            !ends_in_time(panics, &endings).await,
            "a panic is never in time"
        );
    }
}
