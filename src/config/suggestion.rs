//! Which known key a misspelt one was probably meant to be.

/// Longer keys than this are not compared: no known one comes near.
const KEY_CHARS_MAX: usize = 64;

/// The known name nearest to `written`, if it is near: at most one slip in three letters. Case
/// and `-` for `_` don't count.
pub(super) fn nearest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let written: Vec<char> = written
        .chars()
        .take(KEY_CHARS_MAX + 1)
        .map(|letter| match letter {
            '-' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect();
    if written.len() > KEY_CHARS_MAX {
        return None;
    }
    known
        .into_iter()
        .map(|name| {
            let letters: Vec<char> = name.chars().collect();
            (slips(&written, &letters), letters.len(), name)
        })
        .filter(|(slips, length, _)| *slips <= (length / 3).max(1) && slips < length)
        .min_by_key(|(slips, ..)| *slips)
        .map(|(_, _, name)| name)
}

/// Letters to insert, drop, change or swap with their neighbour to turn one word into the other
/// (optimal string alignment).
fn slips(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for row in 1..=one.len() {
        let mut current = vec![row; other.len() + 1];
        for column in 1..=other.len() {
            let changed = usize::from(one[row - 1] != other[column - 1]);
            let mut least = (last[column] + 1)
                .min(current[column - 1] + 1)
                .min(last[column - 1] + changed);
            let swapped = row > 1
                && column > 1
                && one[row - 1] == other[column - 2]
                && one[row - 2] == other[column - 1];
            if swapped {
                least = least.min(before[column - 2] + 1);
            }
            current[column] = least;
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
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

    #[test]
    fn slips_are_counted_as_people_make_them() {
        let count = |one: &str, other: &str| {
            let one: Vec<char> = one.chars().collect();
            slips(&one, &other.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("rise", "rise"), 0);
        assert_eq!(count("rsie", "rise"), 1);
        assert_eq!(count("", "rise"), 4);
        assert_eq!(count("kitten", "sitting"), 3);
    }
}
