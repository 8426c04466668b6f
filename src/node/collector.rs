//! The client of the traces' collector: OTLP over HTTP, as JSON.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use forebay_core::vocabulary::node::Secret;

/// The collector has this long to take a batch.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Why there is no way to the collector.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("ca_file: {0}")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] reqwest::Error),
    #[error("the header `{0}` can't be sent")]
    Header(String),
}

/// Where spans go.
pub struct Collector {
    client: Client,
    endpoint: Secret,
}

/// Why a batch wasn't taken; nothing of the endpoint's URL is in it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It may be taken later.
    #[error("{0}")]
    Now(String),
    #[error("it answers {0}")]
    Ever(u16),
}

impl Collector {
    /// `endpoint`: the whole URL. `ca`: a file of further authorities.
    ///
    /// # Errors
    /// When TLS can't be set up, or a header is none.
    pub fn new(
        endpoint: Secret,
        headers: &[(String, Secret)],
        ca: Option<&str>,
    ) -> Result<Collector, CollectorError> {
        let mut builder = Client::builder()
            .default_headers(header_map(headers)?)
            .redirect(Policy::none())
            .timeout(ANSWER_TIME_MAX);
        if let Some(path) = ca {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&std::fs::read(path)?)?);
        }
        Ok(Collector {
            client: builder.build()?,
            endpoint,
        })
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// When it isn't taken; see [`ExportError`].
    pub async fn post(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let request = self.client.post(self.endpoint.reveal()).body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        let sent = request.send().await;
        let status = sent.map_err(|why| ExportError::Now(why.without_url().to_string()))?;
        match status.status().as_u16() {
            200..300 => Ok(()),
            // What the protocol names as worth another try.
            code @ (429 | 502 | 503 | 504) => Err(ExportError::Now(format!("it answers {code}"))),
            code => Err(ExportError::Ever(code)),
        }
    }
}

fn header_map(headers: &[(String, Secret)]) -> Result<HeaderMap, CollectorError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let fault = || CollectorError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
        let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| fault())?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}
