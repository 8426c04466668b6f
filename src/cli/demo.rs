//! `forebay demo`: pretend nodes, the real balancer before them, callers, and a story that shows
//! what the balancer does when nodes lag, die and return.
//!
//! The balancer runs as `serve` would run it, on its own thread, on the embedded registry in a
//! folder that is gone afterwards. Everything else is one loop that acts, looks and shows.

mod fleet;
mod frame;
mod load;
mod painter;
mod scenario;
mod screen;
mod settings;
mod statistics;
mod summary;
mod terminal;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use futures_util::future::select_all;
use pingora::server::configuration::ServerConf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::summary::summary;
use super::health::reachable;
use crate::app::App;
use crate::call::context::CallState;
use crate::cli::demo::fleet::DemoFleet;
use crate::cli::demo::load::LoadGenerator;
use crate::cli::demo::scenario::{LENGTH_MAX, LENGTH_MIN, Scenario};
use crate::cli::demo::screen::{
    ChangeDetector, EventOrigin, Screen, ScreenEvent, SecondChain, remember, rows, serving,
};
use crate::cli::demo::settings::SECOND;
use crate::cli::demo::statistics::LoadTotals;
use crate::cli::demo::terminal::{DemoTerminal, OutputKind};
use crate::cli::error::CommandError;
use crate::clock;
use crate::config::quantity;

/// The view is painted anew this often, and the nodes act.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The balancer's first round takes far less.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Connections of the demo are few.
const THREADS: usize = 1;

#[derive(Args)]
pub struct DemoArguments {
    /// Where the balancer listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8545")]
    listen: SocketAddr,
    /// How long the story takes, from 20s to 1h
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = length)]
    length: Duration,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = quantity::duration(text).ok_or(quantity::DURATION_FORM)?;
    if length < LENGTH_MIN {
        return Err(format!(
            "too short for the story, which needs {} s",
            LENGTH_MIN.as_secs()
        ));
    }
    if length > LENGTH_MAX {
        return Err(format!(
            "longer than {} s, the most that the story is told for",
            LENGTH_MAX.as_secs()
        ));
    }
    Ok(length)
}

/// Tells the story.
///
/// # Errors
/// Code 4 when the address is taken or the balancer doesn't start, 1 when a call failed.
pub fn run(arguments: &DemoArguments) -> Result<(), CommandError> {
    let story = Scenario::of(arguments.length);
    let runtime = super::setup::runtime()?;
    let stage = runtime
        .block_on(DemoFleet::build(story.block_time()))
        .map_err(|why| {
            CommandError::out_of_reach(format!("the pretend nodes can't listen: {why}"))
        })?;
    let address = settle(arguments.listen).map_err(|why| {
        CommandError::out_of_reach(format!("no free port for the endpoint: {why}"))
    })?;
    let folder = RegistryFolder::make()
        .map_err(|why| CommandError::out_of_reach(format!("no folder for the registry: {why}")))?;
    let settings = settings::of(address, &folder.0, &stage, story.block_time());
    let conf = ServerConf {
        threads: THREADS,
        ..ServerConf::default()
    };
    let app = App::new(settings, conf, None, false).map_err(|why| {
        CommandError::out_of_reach(format!("{why:#}; choose another address by --listen"))
    })?;
    let chains = app.chains.now();
    let states = chains.first().zip(chains.named(SECOND));
    let states = states.map(|(state, second)| (state.clone(), second.clone()));
    drop(chains);
    let (state, second) = states.ok_or_else(|| CommandError::refused("there are no two chains"))?;
    // It ends with the process, or by the same signals as the demo.
    thread::Builder::new()
        .name("balancer".to_string())
        .spawn(move || app.run())
        .map_err(CommandError::out_of_reach)?;
    let caller = |path| {
        let caller = LoadGenerator::new(reachable(address), path);
        caller.map(Arc::new).map_err(CommandError::out_of_reach)
    };
    let callers = [caller("")?, caller(SECOND)?];
    runtime.block_on(perform(DemoRunner {
        story,
        stage,
        state,
        second,
        callers,
        address: reachable(address),
        watch: ChangeDetector::default(),
        events: VecDeque::new(),
    }))
}

/// A free port in place of port 0: the story has to name it.
fn settle(address: SocketAddr) -> io::Result<SocketAddr> {
    if address.port() == 0 {
        TcpListener::bind(address)?.local_addr()
    } else {
        Ok(address)
    }
}

/// The registry's folder, for this process alone; gone when dropped.
struct RegistryFolder(PathBuf);

impl RegistryFolder {
    fn make() -> io::Result<RegistryFolder> {
        let name = format!(
            "forebay-demo-{}-{}",
            std::process::id(),
            clock::unix_millis()
        );
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(RegistryFolder(path))
    }
}

impl Drop for RegistryFolder {
    fn drop(&mut self) {
        if let Err(why) = fs::remove_dir_all(&self.0) {
            log::error!("{} could not be removed: {why}", self.0.display());
        }
    }
}

/// Holds everything that takes part.
struct DemoRunner {
    story: Scenario,
    stage: DemoFleet,
    state: Arc<CallState>,
    /// Of the chain beside it.
    second: Arc<CallState>,
    /// Of the chain that the story is of, and of the second.
    callers: [Arc<LoadGenerator>; 2],
    address: SocketAddr,
    watch: ChangeDetector,
    events: VecDeque<ScreenEvent>,
}

/// How it came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DemoEnd {
    /// The story is told.
    Told,
    /// The user ended it.
    Stopped,
}

async fn perform(mut director: DemoRunner) -> Result<(), CommandError> {
    let mut signals = StopSignals::hear().map_err(CommandError::out_of_reach)?;
    tokio::select! {
        is_ready = director.until_ready() => if !is_ready {
            return Err(CommandError::out_of_reach("the balancer did not get ready"));
        },
        () = signals.next() => return Ok(()),
    }
    let loads = director.callers.clone().map(|caller| {
        let (stop, stopped) = oneshot::channel();
        (stop, tokio::spawn(caller.run(stopped)))
    });
    let started = clock::now();
    let kind = OutputKind::of_stdout();
    let played = director.play(kind, &mut signals).await;
    let elapsed = clock::now().saturating_duration_since(started);
    // A closed stdout ends the demo like a signal: the user doesn't look any more.
    let end = match played {
        Ok(end) => end,
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => DemoEnd::Stopped,
        Err(why) => return Err(CommandError::out_of_reach(why)),
    };
    for (stop, load) in loads {
        end_load(end, stop, load).await;
    }
    let figures = director
        .callers
        .map(|caller| caller.tally.lock().figures.clone());
    let text = summary(&figures, elapsed, kind.ink());
    drop(io::stdout().write_all(text.as_bytes()));
    figures.iter().try_for_each(outcome)
}

/// One failed call is one too many: that none fails is what the demo shows.
fn outcome(figures: &LoadTotals) -> Result<(), CommandError> {
    if figures.failed == 0 {
        return Ok(());
    }
    let why = figures.first_trouble.as_deref().unwrap_or("no answer");
    Err(CommandError::refused(format!(
        "failed calls: {}; the first: {why}",
        figures.failed
    )))
}

/// At the story's end the last calls are waited for. A signal ends the balancer as well, so what
/// is under way then is dropped and counts as nothing.
async fn end_load(end: DemoEnd, stop: oneshot::Sender<()>, load: JoinHandle<()>) {
    match end {
        DemoEnd::Told => {
            // Letting go of it is the word to stop.
            drop(stop);
            drop(load.await);
        }
        DemoEnd::Stopped => load.abort(),
    }
}

impl DemoRunner {
    async fn until_ready(&self) -> bool {
        let mut looks = interval(LOOK_EVERY / 4);
        let ready = async {
            for caller in &self.callers {
                while !caller.finds_it_ready().await {
                    looks.tick().await;
                }
            }
        };
        timeout(READY_WITHIN, ready).await.is_ok()
    }

    /// Acts, looks and shows until the story is told.
    async fn play(&mut self, kind: OutputKind, signals: &mut StopSignals) -> io::Result<DemoEnd> {
        let mut stand = DemoTerminal::open(kind)?;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let started = clock::now();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = signals.next() => return Ok(DemoEnd::Stopped),
            }
            let elapsed = clock::now().saturating_duration_since(started);
            let new = self.act(elapsed).await?;
            remember(&mut self.events, &new);
            stand.show(&self.picture(elapsed), &new)?;
            if elapsed >= self.story.length() {
                return Ok(DemoEnd::Told);
            }
        }
    }

    /// Lets happen what is due, and notices what the balancer made of it.
    async fn act(&mut self, elapsed: Duration) -> io::Result<Vec<ScreenEvent>> {
        let event = |voice, text| ScreenEvent {
            at: elapsed,
            voice,
            text,
        };
        let mut new = Vec::new();
        for cue in self.story.due(elapsed) {
            self.stage.act(cue).await?;
            new.push(event(EventOrigin::Story, cue.sentence()));
        }
        self.stage.step();
        let noticed = self.watch.notice(&self.state.fleet.snapshot().view);
        new.extend(
            noticed
                .into_iter()
                .map(|text| event(EventOrigin::Balancer, text)),
        );
        Ok(new)
    }

    fn picture(&self, elapsed: Duration) -> Screen {
        let snapshot = self.state.fleet.snapshot();
        let now = clock::now();
        let [tally, beside] =
            [&self.callers[0], &self.callers[1]].map(|caller| caller.tally.lock());
        let second = self.second.fleet.snapshot();
        Screen {
            elapsed,
            length: self.story.length(),
            chapter: self.story.chapter(elapsed),
            rows: rows(&snapshot.view, &tally.recent_shares(now), now),
            serving: serving(&snapshot.view),
            figures: tally.figures.clone(),
            second: SecondChain::of(&second.view, &beside.figures),
            events: self.events.clone(),
            address: self.address,
        }
    }
}

/// The signals that end the demo early.
struct StopSignals([Signal; 4]);

impl StopSignals {
    fn hear() -> io::Result<StopSignals> {
        Ok(StopSignals([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ]))
    }

    async fn next(&mut self) {
        let heard = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        drop(select_all(heard).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_takes_from_twenty_seconds_to_an_hour() {
        assert_eq!(length("20s"), Ok(LENGTH_MIN));
        assert_eq!(length("1h"), Ok(LENGTH_MAX));
        assert!(length("19999ms").is_err_and(|why| why.contains("needs 20 s")));
        assert!(length("3600001ms").is_err_and(|why| why.contains("3600 s")));
        assert!(length("60").is_err_and(|why| why.contains("unit")));
    }

    #[test]
    fn a_single_failed_call_makes_the_demo_fail_and_says_why() {
        assert!(outcome(&LoadTotals::default()).is_ok());
        let figures = LoadTotals {
            failed: 1,
            first_trouble: Some("no connection to the endpoint".to_string()),
            ..LoadTotals::default()
        };
        let failure = outcome(&figures).err().unwrap();
        assert_eq!(failure.code, 1);
        assert_eq!(
            failure.why,
            "failed calls: 1; the first: no connection to the endpoint"
        );
    }

    #[test]
    fn port_0_becomes_a_free_port_and_any_other_stays() {
        let free = settle(([127, 0, 0, 1], 0).into()).unwrap();
        assert_ne!(free.port(), 0);
        let named = ([127, 0, 0, 1], 8545).into();
        assert_eq!(settle(named).unwrap(), named);
    }

    #[test]
    fn the_folder_is_its_owners_alone_and_goes_with_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = RegistryFolder::make().unwrap();
        let path = folder.0.clone();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }
}
