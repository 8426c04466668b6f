//! What tests of the thinking begin with.

use std::time::Instant;

/// The moment at which a test begins. The thinking itself reads no clock.
#[expect(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
pub fn now() -> Instant {
    Instant::now()
}
