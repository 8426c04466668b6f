//! Chains come and go while the process runs: the background work of each begins and ends here.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::background::chain_tasks::ChainTasks;
use crate::clock;
use forebay_core::vocabulary::chain::ChainName;

/// A chain that has gone is still looked after so long, for the calls that it had.
const DEPARTURE_TIME_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether they are done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Says whether a chain that has gone has calls or sockets yet.
pub type IsIdle = Box<dyn Fn() -> bool + Send + Sync>;

/// What is to be done.
pub enum ChainOrder {
    Begin(Box<ChainTasks>),
    /// No more calls come; those that are inside are looked after to their end.
    End(ChainName, IsIdle),
}

/// The task that does it.
pub struct ChainSupervisor {
    orders: mpsc::UnboundedReceiver<ChainOrder>,
    ends: HashMap<ChainName, watch::Sender<bool>>,
    running: JoinSet<()>,
}

impl ChainSupervisor {
    pub fn new(orders: mpsc::UnboundedReceiver<ChainOrder>) -> ChainSupervisor {
        ChainSupervisor {
            orders,
            ends: HashMap::new(),
            running: JoinSet::new(),
        }
    }

    /// Runs until the process stops and nothing is left that goes on beyond that.
    pub async fn run(&mut self, mut shutdown: ShutdownWatch) {
        loop {
            let has_running = !self.running.is_empty();
            if *shutdown.borrow_and_update() && !has_running {
                return;
            }
            tokio::select! {
                Some(order) = self.orders.recv() => self.obey(order, &shutdown),
                Some(ended) = self.running.join_next(), if has_running => {
                    if let Err(why) = ended
                        && let Ok(panic) = why.try_into_panic()
                    {
                        resume_unwind(panic);
                    }
                }
                _ = shutdown.changed() => {}
            }
        }
    }

    fn obey(&mut self, order: ChainOrder, shutdown: &ShutdownWatch) {
        match order {
            ChainOrder::Begin(tasks) => {
                let (end, mut ended) = watch::channel(false);
                self.ends.insert(tasks.chain().clone(), end);
                let shutdown = shutdown.clone();
                self.running.spawn(async move {
                    tokio::select! {
                        () = tasks.run(shutdown) => {}
                        _ = ended.wait_for(|is_over| *is_over) => {}
                    }
                });
            }
            ChainOrder::End(name, is_idle) => {
                let Some(end) = self.ends.remove(&name) else {
                    return;
                };
                self.running.spawn(async move {
                    let until = clock::now() + DEPARTURE_TIME_MAX;
                    while !is_idle() && clock::now() < until {
                        sleep(LOOK_EVERY).await;
                    }
                    log::info!("the chain {name} is gone");
                    end.send_replace(true);
                });
            }
        }
    }
}
