//! Which pages may call from browsers (Fetch, "CORS protocol").

/// What pages may send that we read.
const HEADERS: &str = "content-type, content-encoding, authorization, x-forebay-client, x-request-id, \
     traceparent, x-forebay-trail";

/// Which origins a browser may call from, and what its pages may send.
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    any: bool,
    listed: Vec<String>,
    headers: String,
}

impl CorsPolicy {
    /// `*` among them admits all.
    pub fn new(origins: Vec<String>) -> CorsPolicy {
        CorsPolicy {
            any: origins.iter().any(|origin| origin == "*"),
            listed: origins,
            headers: HEADERS.to_string(),
        }
    }

    /// Pages may send these headers, too.
    #[must_use]
    pub fn with_headers(mut self, headers: &[String]) -> CorsPolicy {
        for header in headers {
            self.headers.push_str(", ");
            self.headers.push_str(header);
        }
        self
    }

    /// Whether pages of all origins may call.
    pub fn admits_all(&self) -> bool {
        self.any
    }

    /// As `Access-Control-Allow-Headers` lists them.
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// The origin that may call, as a page of `origin` is told: its own, or `*`.
    pub fn allowed<'a>(&self, origin: Option<&'a [u8]>) -> Option<&'a [u8]> {
        if self.any {
            return Some(b"*");
        }
        let origin = origin?;
        let is_listed = self.listed.iter().any(|listed| listed.as_bytes() == origin);
        is_listed.then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_its_own_origin_or_that_all_may_call() {
        let listed = CorsPolicy::new(vec!["https://a.example".into()]);
        let (own, other): (&[u8], &[u8]) = (b"https://a.example", b"https://b.example");
        assert_eq!(listed.allowed(Some(own)), Some(own));
        assert_eq!(listed.allowed(Some(other)), None);
        assert_eq!(listed.allowed(None), None);
        let any = CorsPolicy::new(vec!["*".into()]);
        assert_eq!(any.allowed(Some(other)), Some(&b"*"[..]));
        let more = any.with_headers(&["x-more".into()]);
        assert!(more.headers().starts_with(HEADERS) && more.headers().ends_with(", x-more"));
    }
}
