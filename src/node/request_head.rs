//! The head that every request to one node begins with, written once.

use url::Position;

use super::access::headers;
use forebay_core::vocabulary::node::NodeSpec;

/// Everything of a request head before the body's length. Holds credentials: no `Debug`.
pub struct RequestTemplate(Vec<u8>);

impl RequestTemplate {
    pub fn new(spec: &NodeSpec) -> RequestTemplate {
        let url = spec.url.reveal();
        let mut text = format!(
            "POST {} HTTP/1.1\r\nHost: {}",
            &url[Position::BeforePath..Position::AfterQuery],
            spec.url.host()
        );
        if let Some(port) = url.port() {
            text.push_str(&format!(":{port}"));
        }
        text.push_str("\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\n");
        for (name, value) in headers(spec) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("Content-Length: ");
        RequestTemplate(text.into_bytes())
    }

    /// Up to and with `Content-Length: `.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::vocabulary::node::NodeRecord;

    fn template(url: &str, headers: &[(&str, &str)]) -> String {
        let mut record = NodeRecord::at(url);
        let owned = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        record.headers = owned.collect();
        let spec = record.resolve(&|_| None).unwrap();
        String::from_utf8(RequestTemplate::new(&spec).bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_head_names_path_query_host_and_odd_port() {
        assert_eq!(
            template("http://node.example:8545/v3/key?a=b#c", &[("X-Key", "k")]),
            "POST /v3/key?a=b HTTP/1.1\r\nHost: node.example:8545\r\n\
             Content-Type: application/json\r\nAccept-Encoding: identity\r\n\
             accept: application/json\r\nuser-agent: forebay\r\nx-key: k\r\nContent-Length: "
        );
        let usual = template("https://node.example:443", &[]);
        assert!(usual.starts_with("POST / HTTP/1.1\r\nHost: node.example\r\n"));
        assert!(template("http://[::1]:8545", &[]).contains("\r\nHost: [::1]:8545\r\n"));
    }

    #[test]
    fn a_header_of_the_operator_replaces_ours() {
        let text = template("http://a", &[("User-Agent", "mine")]);
        assert!(text.contains("user-agent: mine\r\n") && !text.contains("forebay"));
    }
}
