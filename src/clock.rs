//! The only reader of the time and of randomness.

#![expect(clippy::disallowed_methods, reason = "this is where the time is read")]

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970.
pub fn unix_millis() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

/// Nanoseconds since 1970.
pub fn unix_nanos() -> u64 {
    u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// UTC in ISO 8601 without a zone, microseconds: `2018-07-02T11:50:49.281928`.
pub fn iso_8601() -> String {
    chrono::Utc::now()
        .format("%Y-%m-%dT%H:%M:%S%.6f")
        .to_string()
}

thread_local! {
    /// The second, and the same in words.
    static DATE: RefCell<(i64, String)> = const { RefCell::new((-1, String::new())) };
    static DICE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

/// Now, as HTTP writes it (RFC 9110 §5.6.7): `Mon, 02 Jul 2018 11:50:49 GMT`.
pub fn http_date<T>(read: impl FnOnce(&[u8]) -> T) -> T {
    let seconds = i64::try_from(unix_millis() / 1000).unwrap_or(0);
    DATE.with_borrow_mut(|(written, date)| {
        if *written != seconds {
            let now = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            *date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            *written = seconds;
        }
        read(date.as_bytes())
    })
}

/// How long it is until `date`, as HTTP writes it (RFC 9110 §5.6.7); none where it is past. `None`: it
/// is no such date.
pub fn until_http_date(date: &str) -> Option<Duration> {
    let date = chrono::DateTime::parse_from_rfc2822(date.trim()).ok()?;
    let until = date.signed_duration_since(chrono::Utc::now());
    Some(until.to_std().unwrap_or_default())
}

/// A chance in 0..2^64, from a generator of this thread's own; not for secrets.
pub fn roll() -> u64 {
    DICE.with(|state| {
        let mut dice = forebay_core::vocabulary::chance::SeededDice::new(state.get());
        let drawn = forebay_core::vocabulary::chance::Dice::roll(&mut dice);
        state.set(dice.state());
        drawn
    })
}
