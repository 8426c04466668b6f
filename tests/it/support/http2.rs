//! HTTP/2 by hand, over any stream.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Answer, PATIENCE};

/// POSTs `body` to `/` on a connection of its own. An error is an answer that broke off.
pub async fn post_http2<T>(stream: T, body: impl Into<Bytes>) -> Result<Answer, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    post_http2_with(stream, &[], body).await
}

/// As [`post_http2`], with more headers.
pub async fn post_http2_with<T>(
    stream: T,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    post_http2_to(stream, "http://localhost/", headers, body).await
}

/// As [`post_http2_with`], to another URL: its host is the authority.
pub async fn post_http2_to<T>(
    stream: T,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchange = exchange(stream, url, headers, body.into());
    match timeout(PATIENCE, exchange).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => panic!("no answer over HTTP/2 within {PATIENCE:?}"),
    }
}

async fn exchange<T>(
    stream: T,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer, h2::Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut client, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let mut request = http::Request::post(url);
    for (name, value) in [&[("content-type", "application/json")], headers].concat() {
        request = request.header(name, value);
    }
    let request = request.body(()).unwrap();
    let (response, mut sending) = client.send_request(request, false)?;
    sending.send_data(body, true)?;
    let (head, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece?;
        incoming.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    driver.abort();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Ok(Answer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body,
    })
}
