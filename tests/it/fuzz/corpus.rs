//! The kept inputs of a target: fed as they are, then mutated; what fails is kept.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::mutation::Mutator;

/// Inputs for each target in an ordinary run: a few seconds.
const INPUTS: u64 = 20_000;
/// Of them, one in so many is fed where each costs files, or much work.
pub const COSTLY: u64 = 20;
/// The longest input that is kept.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Feeds `check` with the corpus of `target`, and with mutants of it.
pub fn feed(target: &str, check: fn(&[u8])) {
    feed_one_in(1, target, check);
}

/// As [`feed`], with one in `share` of the inputs.
pub fn feed_one_in(share: u64, target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(target);
    let kept = read(&folder);
    assert!(!kept.is_empty(), "{} is empty", folder.display());
    for (path, input) in &kept {
        if catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
            panic!("{} fails", path.display());
        }
    }
    let inputs: Vec<Vec<u8>> = kept.into_iter().map(|(_, input)| input).collect();
    let seed = number("FOREBAY_SEED").unwrap_or(1);
    let mut mutator = Mutator::new(seed, inputs);
    for _ in 0..number("FOREBAY_FUZZ_INPUTS").unwrap_or(INPUTS) / share {
        let input = mutator.next();
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            let path = keep(&folder, &input);
            panic!("with FOREBAY_SEED={seed}: {} fails", path.display());
        }
    }
}

fn read(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // The order of a folder is no order.
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

fn keep(folder: &Path, input: &[u8]) -> PathBuf {
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder.join(format!("failed-{hash:016x}"));
    let length = input.len().min(INPUT_BYTES_MAX);
    fs::write(&path, &input[..length]).unwrap();
    path
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
