//! Which known key a misspelt one was probably meant to be.

/// Longer keys than this are not compared: no known one comes near.
const KEY_BYTES_MAX: usize = 64;

/// The known name nearest to `written`, if it is near: at most one slip in three letters. Case
/// and `-` for `_` don't count.
pub(super) fn nearest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    if written.len() > KEY_BYTES_MAX {
        return None;
    }
    let written = written.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, name), name))
        .filter(|(slips, name)| *slips <= (name.len() / 3).max(1) && *slips < name.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(written: &str) -> Option<&'static str> {
        nearest(
            written,
            [
                "interval",
                "timeout",
                "rise",
                "fall",
                "lag_blocks_max",
                "id",
            ],
        )
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        for (written, meant) in [
            ("intervall", "interval"),
            ("itnerval", "interval"),
            ("Timeout", "timeout"),
            ("lag-blocks-max", "lag_blocks_max"),
            ("lag_block_max", "lag_blocks_max"),
            ("fal", "fall"),
        ] {
            assert_eq!(near(written), Some(meant), "{written}");
        }
    }

    #[test]
    fn a_key_that_resembles_none_finds_none() {
        for written in ["", "x", "hedge", "url", "foo_bar_baz", &"i".repeat(1_000)] {
            assert_eq!(near(written), None, "{written}");
        }
    }
}
