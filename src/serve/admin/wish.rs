//! What a request wants, read off its method, its path and its query.

use http::Method;
use url::form_urlencoded;

use super::denial::Denial;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Asset(Asset),
    Live,
    Ready,
    Description,
    Status,
    List,
    Add,
    Change,
    Remove,
    /// Of the node with this name.
    Turn(Turn, String),
}

/// What is the same for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asset {
    Page,
    Style,
    Script,
    Icon,
}

/// A node taken out of service by hand, or put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No new calls; whoever asks may wait until none is in flight.
    Drain,
    /// No new calls.
    Cordon,
    Undrain,
}

const READ: &str = "GET, HEAD";
const POST: &str = "POST";
const LIST: &str = "GET, HEAD, POST, PATCH, DELETE";

impl Wish {
    /// # Errors
    /// A path that there isn't, or not for this method.
    pub fn read(method: &Method, path: &str) -> Result<Wish, Denial> {
        let page = |wish: Wish| match *method {
            Method::GET | Method::HEAD => Ok(wish),
            _ => Err(Denial::MethodNotAllowed(READ)),
        };
        match path {
            "/" => page(Wish::Asset(Asset::Page)),
            "/page.css" => page(Wish::Asset(Asset::Style)),
            "/page.js" => page(Wish::Asset(Asset::Script)),
            "/icon.svg" => page(Wish::Asset(Asset::Icon)),
            "/health/live" => page(Wish::Live),
            "/health/ready" => page(Wish::Ready),
            "/openapi.json" => page(Wish::Description),
            "/status" => page(Wish::Status),
            "/backends" => match *method {
                Method::GET | Method::HEAD => Ok(Wish::List),
                Method::POST => Ok(Wish::Add),
                Method::PATCH => Ok(Wish::Change),
                Method::DELETE => Ok(Wish::Remove),
                _ => Err(Denial::MethodNotAllowed(LIST)),
            },
            _ => turn(method, path),
        }
    }

    /// Whether the token is asked for: for all that tells of nodes or changes them.
    pub fn needs_token(&self) -> bool {
        match self {
            Wish::Asset(_) | Wish::Live | Wish::Ready | Wish::Description => false,
            Wish::Status
            | Wish::List
            | Wish::Add
            | Wish::Change
            | Wish::Remove
            | Wish::Turn(..) => true,
        }
    }

    pub fn body(&self) -> Body {
        match self {
            Wish::Add | Wish::Change => Body::Needed,
            Wish::Turn(..) => Body::Allowed,
            Wish::Asset(_)
            | Wish::Live
            | Wish::Ready
            | Wish::Description
            | Wish::Status
            | Wish::List
            | Wish::Remove => Body::None,
        }
    }

    /// The parameters that may stand in the query.
    fn parameters(&self) -> &'static [&'static str] {
        match self {
            Wish::List => &["reveal"],
            Wish::Remove => &["url", "name", "reveal"],
            Wish::Add | Wish::Change | Wish::Turn(..) => &["reveal"],
            Wish::Asset(_) | Wish::Live | Wish::Ready | Wish::Description | Wish::Status => &[],
        }
    }
}

/// Whether a request has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    Allowed,
    Needed,
}

fn turn(method: &Method, path: &str) -> Result<Wish, Denial> {
    let inner = path.strip_prefix("/backends/");
    let (name, verb) = inner
        .and_then(|inner| inner.split_once('/'))
        .ok_or(Denial::NoSuchPage)?;
    let turn = match verb {
        "drain" => Turn::Drain,
        "cordon" => Turn::Cordon,
        "undrain" => Turn::Undrain,
        _ => return Err(Denial::NoSuchPage),
    };
    if method != Method::POST {
        return Err(Denial::MethodNotAllowed(POST));
    }
    let name = decoded(name).filter(|name| !name.is_empty());
    Ok(Wish::Turn(turn, name.ok_or(Denial::NoSuchNode)?))
}

/// A segment of a path with its `%XX` replaced; `None` when it isn't well formed.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

/// What stands in a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub url: Option<String>,
    pub name: Option<String>,
    /// Whether URLs are wanted whole.
    pub reveal: bool,
}

impl Query {
    /// # Errors
    /// A parameter that there isn't here, or twice, or `reveal` other than true or false.
    pub fn read(query: Option<&str>, wish: &Wish) -> Result<Query, Denial> {
        let mut found = Query::default();
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !wish.parameters().contains(&&*key) {
                return Err(unknown(wish));
            }
            if seen.contains(&key) {
                return Err(Denial::input(format!(
                    "the parameter `{key}` stands here twice"
                )));
            }
            match &*key {
                "url" => found.url = Some(value.into_owned()),
                "name" => found.name = Some(value.into_owned()),
                _ => found.reveal = truth(&value)?,
            }
            seen.push(key);
        }
        Ok(found)
    }

    /// The node that is meant, by its URL or its name.
    ///
    /// # Errors
    /// Neither, or both.
    pub fn key(self) -> Result<String, Denial> {
        key(self.url, self.name)
    }
}

fn unknown(wish: &Wish) -> Denial {
    match wish.parameters() {
        [] => Denial::input("there are no parameters here"),
        known => Denial::input(format!("the parameters here are: {}", known.join(", "))),
    }
}

fn truth(value: &str) -> Result<bool, Denial> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Denial::input("`reveal` is `true` or `false`")),
    }
}

/// One of a URL and a name.
///
/// # Errors
/// Neither, or both, or an empty one.
pub fn key(url: Option<String>, name: Option<String>) -> Result<String, Denial> {
    match (url, name) {
        (Some(key), None) | (None, Some(key)) if !key.trim().is_empty() => Ok(key),
        _ => Err(Denial::input(
            "say which node, by its `url` or by its `name`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, path: &str) -> Result<Wish, Denial> {
        Wish::read(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    #[test]
    fn method_and_path_say_what_is_wanted() {
        let turn = |turn, name: &str| Wish::Turn(turn, name.to_string());
        for (method, path, wanted) in [
            ("GET", "/", Wish::Asset(Asset::Page)),
            ("HEAD", "/page.js", Wish::Asset(Asset::Script)),
            ("GET", "/status", Wish::Status),
            ("GET", "/health/live", Wish::Live),
            ("GET", "/health/ready", Wish::Ready),
            ("GET", "/openapi.json", Wish::Description),
            ("GET", "/backends", Wish::List),
            ("POST", "/backends", Wish::Add),
            ("PATCH", "/backends", Wish::Change),
            ("DELETE", "/backends", Wish::Remove),
            ("POST", "/backends/a/drain", turn(Turn::Drain, "a")),
            ("POST", "/backends/a%3A1/cordon", turn(Turn::Cordon, "a:1")),
            ("POST", "/backends/a:1/undrain", turn(Turn::Undrain, "a:1")),
        ] {
            assert_eq!(read(method, path), Ok(wanted), "{method} {path}");
        }
    }

    #[test]
    fn other_paths_are_nowhere_and_other_methods_are_told_which_would_do() {
        for path in [
            "/x",
            "/backends/",
            "/backends/a",
            "/backends/a/x",
            "/Status",
            "//",
            "/status/",
        ] {
            assert_eq!(read("POST", path), Err(Denial::NoSuchPage), "{path}");
        }
        for name in ["", "%", "%4", "%+1", "%ff"] {
            let path = format!("/backends/{name}/drain");
            assert_eq!(read("POST", &path), Err(Denial::NoSuchNode), "{path}");
        }
        for (method, path, allowed) in [
            ("POST", "/", READ),
            ("DELETE", "/status", READ),
            ("PUT", "/backends", LIST),
            ("OPTIONS", "/backends", LIST),
            ("GET", "/backends/a/drain", POST),
        ] {
            let denied = Err(Denial::MethodNotAllowed(allowed));
            assert_eq!(read(method, path), denied, "{method} {path}");
        }
    }

    #[test]
    fn all_that_tells_of_nodes_or_changes_them_needs_the_token() {
        for (method, path, needed) in [
            ("GET", "/", false),
            ("GET", "/page.css", false),
            ("GET", "/openapi.json", false),
            ("GET", "/health/live", false),
            ("GET", "/health/ready", false),
            ("GET", "/status", true),
            ("GET", "/backends", true),
            ("POST", "/backends", true),
            ("PATCH", "/backends", true),
            ("DELETE", "/backends", true),
            ("POST", "/backends/a/undrain", true),
        ] {
            let wish = read(method, path).unwrap();
            assert_eq!(wish.needs_token(), needed, "{method} {path}");
        }
    }

    #[test]
    fn a_query_holds_what_is_known_here_and_once() {
        let query = |text, wish: &Wish| Query::read(Some(text), wish);
        let remove = query("name=a%3A1&reveal=true", &Wish::Remove).unwrap();
        assert!(remove.reveal);
        assert_eq!(remove.key(), Ok("a:1".to_string()));
        let by_url = query("url=http%3A%2F%2Fa%2Fk+k", &Wish::Remove).unwrap();
        assert_eq!(by_url.key(), Ok("http://a/k k".to_string()));
        assert_eq!(Query::read(None, &Wish::List), Ok(Query::default()));
        for (text, wish) in [
            ("name=a", Wish::List),
            ("x=1", Wish::Remove),
            ("reveal=true", Wish::Status),
            ("reveal", Wish::List),
            ("reveal=1", Wish::List),
            ("reveal=true&reveal=true", Wish::List),
        ] {
            assert!(
                matches!(query(text, &wish), Err(Denial::Input(_))),
                "{text}"
            );
        }
        for text in ["", "name=", "url=+", "url=http://a&name=a"] {
            let key = query(text, &Wish::Remove).unwrap().key();
            assert!(matches!(key, Err(Denial::Input(_))), "{text}");
        }
    }
}
