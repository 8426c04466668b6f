//! Which requests the admin listener takes: three questions, each answered by the head alone.
//!
//! - Is it us that the client meant? A page that lets its own name point at our address (DNS
//!   rebinding) says that name in `Host`. So only addresses, `localhost` and listed names pass:
//!   an address can't be rebound.
//! - Does a page of ours ask? A browser says in `Origin` which site's page asks; programs say nothing.
//! - Does it have the token? Compared by digest, in a time that tells nothing of either.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName};
use sha3::{Digest, Sha3_256};
use subtle::ConstantTimeEq as _;

use crate::admin::error::AdminError;
use forebay_core::vocabulary::node::Secret;

/// What a caller has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No token is asked for here.
    Open,
    Token,
}

/// Knows the token (its digest alone) and our names.
pub struct AdminAuth {
    token: Option<[u8; 32]>,
    hosts: Vec<String>,
}

impl AdminAuth {
    /// `hosts`: names in lower case beside `localhost`. Without a `token` every caller may come in.
    pub fn new(token: Option<&Secret>, hosts: Vec<String>) -> AdminAuth {
        AdminAuth {
            token: token.map(|token| digest(token.reveal())),
            hosts,
        }
    }

    /// Judges where a request comes from. `authority`: of a target in absolute form.
    ///
    /// # Errors
    /// A missing or foreign host, a foreign origin.
    pub fn judge_source(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
    ) -> Result<(), AdminError> {
        let host = only(headers, HOST).map_err(|()| AdminError::HostMissing)?;
        let host = host.ok_or(AdminError::HostMissing)?;
        let mut named = [Some(host), authority].into_iter().flatten();
        if !named.all(|authority| self.is_ours(authority)) {
            return Err(AdminError::HostForeign);
        }
        match only(headers, ORIGIN) {
            Ok(None) => Ok(()),
            Ok(Some(origin)) if is_same(origin, host) => Ok(()),
            Ok(Some(_)) | Err(()) => Err(AdminError::OriginForeign),
        }
    }

    /// Judges the token.
    ///
    /// # Errors
    /// A token is asked for, and it is missing or another.
    pub fn judge_token(&self, headers: &HeaderMap) -> Result<Credential, AdminError> {
        let Some(expected) = &self.token else {
            return Ok(Credential::Open);
        };
        let shown = only(headers, AUTHORIZATION).map_err(|()| AdminError::TokenWrong)?;
        let shown = shown.ok_or(AdminError::TokenMissing)?;
        let (scheme, token) = shown.split_once(' ').ok_or(AdminError::TokenMissing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AdminError::TokenMissing);
        }
        // In a time that says nothing of where they differ.
        if expected.ct_eq(&digest(token.trim())).into() {
            Ok(Credential::Token)
        } else {
            Err(AdminError::TokenWrong)
        }
    }

    fn is_ours(&self, authority: &str) -> bool {
        let Some(name) = name_of(authority) else {
            return false;
        };
        let is_listed = || self.hosts.contains(&name);
        name == "localhost" || is_address(&name) || is_listed()
    }
}

/// The one value of a header; an error when there are several, or bytes that are no text.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(drop));
    match values.next() {
        Some(_) => Err(()),
        None => first.transpose(),
    }
}

/// The host of `host:port`, in lower case and without a dot at its end.
fn name_of(authority: &str) -> Option<String> {
    let bare = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let is_port = after.is_empty() || is_port(after.strip_prefix(':')?);
            is_port.then(|| format!("[{address}]"))?
        }
        None => match authority.split_once(':') {
            Some((name, port)) if is_port(port) => name.to_string(),
            Some(_) => return None,
            None => authority.to_string(),
        },
    };
    let bare = bare.to_ascii_lowercase();
    Some(bare.strip_suffix('.').unwrap_or(&bare).to_string())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_address(name: &str) -> bool {
    let inner = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Whether an origin is that of the page at `host`. TLS may end before us, so both schemes are.
fn is_same(origin: &str, host: &str) -> bool {
    let schemes = ["http://", "https://"];
    let of = schemes
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    of.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn digest(text: &str) -> [u8; 32] {
    Sha3_256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn auth() -> AdminAuth {
        let token = Secret::new("correct-horse".to_string());
        AdminAuth::new(Some(&token), vec!["forebay.internal".to_string()])
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn addresses_localhost_and_listed_names_are_ours_and_nothing_else() {
        let judge = |host| auth().judge_source(&headers(&[("host", host)]), None);
        for ours in [
            "localhost",
            "LocalHost:9091",
            "127.0.0.1:9091",
            "10.0.0.7",
            "[::1]:9091",
            "[fd00::7]",
            "forebay.internal",
            "Forebay.Internal.:443",
        ] {
            assert_eq!(judge(ours), Ok(()), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xforebay.internal",
            "",
            ":9091",
            "127.0.0.1:9091:1",
            "127.1",
            "0x7f000001",
            "[::1",
            "[::1]x",
            "[localhost]",
            "user@localhost",
            "localhost:",
            "h\u{f6}st",
        ] {
            let denied = judge(foreign).unwrap_err();
            assert!(
                matches!(denied, AdminError::HostForeign | AdminError::HostMissing),
                "{foreign}"
            );
        }
    }

    #[test]
    fn one_host_is_needed_and_a_target_in_absolute_form_must_name_us_too() {
        let judge = |pairs: &[(&'static str, &str)], authority| {
            auth().judge_source(&headers(pairs), authority)
        };
        let host = ("host", "localhost");
        assert_eq!(judge(&[], None), Err(AdminError::HostMissing));
        assert_eq!(judge(&[host, host], None), Err(AdminError::HostMissing));
        assert_eq!(judge(&[host], Some("localhost:1")), Ok(()));
        assert_eq!(
            judge(&[host], Some("evil.example")),
            Err(AdminError::HostForeign)
        );
    }

    #[test]
    fn only_pages_of_the_same_host_may_ask() {
        let judge = |origins: &[&str]| {
            let origins = origins.iter().map(|origin| ("origin", *origin));
            let pairs: Vec<_> = [("host", "localhost:9091")]
                .into_iter()
                .chain(origins)
                .collect();
            auth().judge_source(&headers(&pairs), None)
        };
        for same in ["http://localhost:9091", "https://LOCALHOST:9091"] {
            assert_eq!(judge(&[same]), Ok(()), "{same}");
        }
        for foreign in [
            "http://localhost",
            "http://localhost:8545",
            "http://127.0.0.1:9091",
            "https://evil.example",
            "null",
            "",
            "file://localhost:9091",
            "localhost:9091",
        ] {
            assert_eq!(
                judge(&[foreign]),
                Err(AdminError::OriginForeign),
                "{foreign}"
            );
        }
        let twice = ["http://localhost:9091"; 2];
        assert_eq!(judge(&twice), Err(AdminError::OriginForeign));
    }

    #[test]
    fn the_token_alone_opens() {
        let judge = |value: &str| auth().judge_token(&headers(&[("authorization", value)]));
        for good in ["Bearer correct-horse", "bearer  correct-horse"] {
            assert_eq!(judge(good), Ok(Credential::Token), "{good}");
        }
        for wrong in [
            "Bearer correct-hors",
            "Bearer correct-horsf",
            "Bearer correct-horse-",
            "Bearer Correct-horse",
            "Bearer ",
        ] {
            assert_eq!(judge(wrong), Err(AdminError::TokenWrong), "{wrong}");
        }
        for missing in ["correct-horse", "Basic correct-horse", ""] {
            assert_eq!(judge(missing), Err(AdminError::TokenMissing), "{missing}");
        }
        let none = auth().judge_token(&HeaderMap::new());
        assert_eq!(none, Err(AdminError::TokenMissing));
    }

    #[test]
    fn without_a_token_every_request_comes_in_and_none_has_shown_one() {
        let open = AdminAuth::new(None, Vec::new());
        let shown = headers(&[("authorization", "Bearer x")]);
        assert_eq!(open.judge_token(&shown), Ok(Credential::Open));
    }
}
