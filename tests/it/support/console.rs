//! The admin listener as its users reach it: any request, written by hand.

use std::net::SocketAddr;

use serde_json::Value;

use super::{Answer, PATIENCE, exchange};

/// One request; what isn't said is as a well-behaved client says it.
#[derive(Clone, Debug)]
pub struct Console {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Console {
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Console {
        let console = Console {
            address,
            method: method.to_string(),
            target: target.to_string(),
            headers: Vec::new(),
            body: None,
        };
        console.with("host", &address.to_string())
    }

    /// Sets a header, in place of one of the same name.
    pub fn with(mut self, name: &str, value: &str) -> Console {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn without(mut self, name: &str) -> Console {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn token(self, token: &str) -> Console {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &str) -> Console {
        self.with("content-type", "application/json").body(body)
    }

    pub fn body(mut self, body: &str) -> Console {
        self.body = Some(body.to_string());
        self
    }

    pub async fn ask(&self) -> Answer {
        let mut request = format!(
            "{} {} HTTP/1.1\r\nconnection: close\r\n",
            self.method, self.target
        );
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            request += &format!("content-length: {}\r\n\r\n{body}", body.len());
        } else {
            request += "\r\n";
        }
        let told = exchange(self.address, request.as_bytes(), PATIENCE).await;
        let told = told.and_then(|bytes| match self.method.as_str() {
            // Its answer says the length of what it leaves out.
            "HEAD" => Answer::parse_head(&bytes),
            _ => Answer::parse(&bytes),
        });
        told.unwrap_or_else(|why| panic!("{} {}: {why}", self.method, self.target))
    }

    /// The answer's JSON, if its status is `status`.
    pub async fn gives(&self, status: u16) -> Value {
        let answer = self.ask().await;
        let what = format!("{} {}: {}", self.method, self.target, answer.text());
        assert_eq!(answer.status, status, "{what}");
        answer.json()
    }
}
