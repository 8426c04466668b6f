//! Stories as data: pretend nodes that disagree, a real balancer before them, and what a client
//! is told.
//!
//! Each file under `tests/scenarios/` is one story; `scenarios/story.rs` says how it is written.
//! `FOREBAY_STORY=name` plays one alone.

mod stage;
mod story;

use crate::support::in_repository;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};

use story::Story;

/// Stories that are played at once.
const AT_ONCE: usize = 4;
const STORY_TIME_MAX: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_holds() {
    let only = std::env::var("FOREBAY_STORY").ok();
    let mut stories = read();
    stories.retain(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    assert!(!stories.is_empty(), "no such story");
    let outcomes = stream::iter(stories).map(|(name, story)| async move {
        let playing = tokio::time::timeout(STORY_TIME_MAX, stage::play(&story));
        match AssertUnwindSafe(playing).catch_unwind().await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(why))) => Some(format!("{name}: {} ({}): {why}", story.says, story.source)),
            Ok(Err(_)) => Some(format!("{name}: not within {STORY_TIME_MAX:?}")),
            Err(_) => Some(format!("{name}: its stage broke down")),
        }
    });
    let failed: Vec<String> = outcomes
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n"));
}

/// Name and story, in the order of their names.
fn read() -> Vec<(String, Story)> {
    let folder = in_repository("tests/scenarios");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut stories: Vec<(String, Story)> = paths
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let story = serde_json::from_str(&text);
            (
                name.clone(),
                story.unwrap_or_else(|why| panic!("{name}: {why}")),
            )
        })
        .collect();
    stories.sort_by(|one, other| one.0.cmp(&other.0));
    stories
}
