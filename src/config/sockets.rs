//! `forebay.sockets`: what clients' sockets are held to.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::field::{Context, Field};
use super::settings::Sockets;

/// A proxy between us and the client may end a connection that is idle for a minute.
const PINGS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

pub(super) fn sockets(context: &Context<'_>, field: &Field<'_>) -> Sockets {
    let section = field.section(&[
        "sockets_max",
        "per_address_max",
        "subscriptions_max",
        "messages_per_second",
        "ping_interval",
    ]);
    let default = Sockets::default();
    let number = |key: &str, range| section.field(key).number(range);
    let sockets_max = number("sockets_max", 0..=1_000_000);
    let sockets_max = sockets_max.unwrap_or(default.sockets_max);
    let per_address_max = number("per_address_max", 1..=1_000_000);
    if let Some(per_address_max) = per_address_max
        && per_address_max > sockets_max
    {
        context.warn(
            "forebay.sockets.per_address_max",
            format!("never reached: `sockets_max` is {sockets_max}"),
        );
    }
    Sockets {
        sockets_max,
        per_address_max: per_address_max.or(default.per_address_max),
        subscriptions_max: number("subscriptions_max", 0..=10_000)
            .unwrap_or(default.subscriptions_max),
        messages_per_second: section
            .field("messages_per_second")
            .number(1..=1_000_000)
            .unwrap_or(default.messages_per_second),
        ping_interval: section
            .field("ping_interval")
            .duration(PINGS)
            .unwrap_or(default.ping_interval),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing};

    #[test]
    fn each_limit_holds_at_its_value_and_not_one_past_it() {
        for (key, inside, outside) in [
            ("sockets_max", ["0", "1000000"], ["-1", "1000001"]),
            ("subscriptions_max", ["0", "10000"], ["-1", "10001"]),
            ("messages_per_second", ["1", "1000000"], ["0", "1000001"]),
            ("per_address_max", ["1", "20000"], ["0", "1000001"]),
            ("ping_interval", ["1s", "10m"], ["999ms", "600001ms"]),
        ] {
            for value in inside {
                finds_nothing(&format!("{{sockets: {{{key}: {value}}}}}"));
            }
            for value in outside {
                finds(&format!("{{sockets: {{{key}: {value}}}}}"), ": error: ");
            }
        }
    }

    #[test]
    fn a_limit_that_is_never_reached_is_told_and_a_slip_finds_its_key() {
        finds(
            "{sockets: {sockets_max: 10, per_address_max: 11}}",
            "warning: forebay.sockets.per_address_max: never reached",
        );
        finds_nothing("{sockets: {sockets_max: 10, per_address_max: 10}}");
        finds(
            "{sockets: {ping_intervall: 30s}}",
            "unknown key; did you mean `ping_interval`?",
        );
    }
}
