//! `forebay.limits`: the memory that all that is held is a share of, and whether the other keys fit.

use super::field::{ReadContext, Section};
use super::quantity::size_text;
use super::settings::Settings;
use forebay_core::vocabulary::caps::Caps;

/// Holds the settings to their shares of the memory that is written: a key above its own is a
/// mistake, and a default shrinks.
pub(super) fn fit(context: &ReadContext<'_>, forebay: &Section<'_>, settings: &mut Settings) {
    let Some(memory) = settings.limits.memory else {
        return;
    };
    if context.findings.errors() > 0 {
        return;
    }
    let caps = Caps::with_cache(memory, settings.cache.memory);
    let too_much = |section: &str, key: &str, share: String| {
        if forebay.field(section).group().has(key) {
            let (path, memory) = (format!("forebay.{section}.{key}"), size_text(memory));
            context.error(&path, format!("at most {share} with a memory of {memory}"));
        }
    };
    let calls = &mut settings.calls;
    if calls.body_bytes_max > caps.body_max() {
        calls.body_bytes_max = caps.body_max();
        too_much("calls", "body_bytes_max", size_text(caps.body_max() as u64));
    }
    if settings.cache.memory > Some(caps.cache) {
        settings.cache.memory = Some(caps.cache);
        too_much("cache", "memory", size_text(caps.cache));
    }
    let sockets = &mut settings.sockets;
    if sockets.sockets_max > caps.sockets {
        sockets.sockets_max = caps.sockets;
        too_much("sockets", "sockets_max", caps.sockets.to_string());
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing, reading};

    #[test]
    fn memory_holds_at_its_limits_and_not_one_byte_past_them() {
        finds_nothing("{limits: {memory: 64MiB}}");
        finds("{limits: {memory: 67108863}}", ": error: ");
        finds("{limits: {memories: 64MiB}}", "unknown key");
    }

    #[test]
    fn a_key_above_its_share_is_a_mistake_and_a_default_shrinks() {
        let text = "forebay: {limits: {memory: 64MiB}}";
        let settings = reading(text).settings.unwrap();
        assert_eq!(settings.calls.body_bytes_max, 1_677_721);
        assert_eq!(settings.sockets.sockets_max, 51);
        finds_nothing("{limits: {memory: 64MiB}, calls: {body_bytes_max: 1677721}}");
        finds_nothing("{limits: {memory: 64MiB}, sockets: {sockets_max: 51}}");
        finds(
            "{limits: {memory: 64MiB}, calls: {body_bytes_max: 1677722}}",
            "error: forebay.calls.body_bytes_max: at most 1677721",
        );
        finds(
            "{limits: {memory: 64MiB}, sockets: {sockets_max: 52}}",
            "error: forebay.sockets.sockets_max: at most 51 with a memory of 64MiB",
        );
        finds_nothing("{sockets: {sockets_max: 1000000}}");
        finds_nothing(
            "{limits: {memory: 64MiB}, cache: {memory: 32MiB}, calls: {body_bytes_max: 1KiB}}",
        );
        finds(
            "{limits: {memory: 64MiB}, cache: {memory: 33MiB}, calls: {body_bytes_max: 1KiB}}",
            "error: forebay.cache.memory: at most 32MiB with a memory of 64MiB",
        );
    }
}
