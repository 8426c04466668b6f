//! A header's value that is a list (RFC 9110 §5.6.1).

/// What stands between its commas, without the space around.
pub fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether it has `wanted`, in any case.
pub fn lists(list: &[u8], wanted: &[u8]) -> bool {
    items(list).any(|item| item.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_found_whole_and_in_any_case() {
        for (list, wanted) in [
            ("Close", true),
            ("keep-alive ,\tCLOSE", true),
            (",,close,", true),
            ("", false),
            ("closed", false),
            ("keep-alive close", false),
        ] {
            assert_eq!(lists(list.as_bytes(), b"close"), wanted, "{list:?}");
        }
    }
}
