//! `forebay.cors`: what browsers' pages may do.

use http::HeaderName;

use super::field::Field;

/// An origin as browsers send it (RFC 6454, 6.2): a scheme, a host, and a port if it isn't the
/// usual one.
pub(super) fn origin(item: &Field<'_>) -> Option<String> {
    item.parsed(
        "`*` or an origin, as in `https://app.example`, without a path",
        |text| {
            let host = text.split_once("://").map(|(_, host)| host);
            let plain = |host: &str| {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && byte != b'/')
            };
            (text == "*" || host.is_some_and(plain)).then(|| text.to_string())
        },
    )
}

/// A header's name, or `*` for all but `authorization` (Fetch, 3.2.5).
pub(super) fn header(item: &Field<'_>) -> Option<String> {
    item.parsed("a header's name, as in `x-app`, or `*`", |text| {
        let name = HeaderName::from_bytes(text.trim().as_bytes()).ok()?;
        Some(name.as_str().to_string())
    })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing};

    #[test]
    fn a_header_is_a_name_or_all_of_them() {
        finds_nothing("{cors: {headers: [X-App, \"*\"]}}");
        for wrong in ["\"x app\"", "\"x:y\"", "\"a\\r\\nb\""] {
            let expected = "forebay.cors.headers[0]: expected a header's name";
            finds(&format!("{{cors: {{headers: [{wrong}]}}}}"), expected);
        }
        finds("{cors: {header: [x-app]}}", "did you mean `headers`?");
    }
}
