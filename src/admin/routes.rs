//! What a request wants, read off its method, its path and its query.

use http::Method;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::admin::error::AdminError;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminRoute {
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
    Turn(DrainAction, String),
    /// Kept answers are to go.
    Purge,
}

/// What is the same for every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asset {
    Page,
    Style,
    Script,
    Icon,
}

/// A node taken out of service by hand, or put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainAction {
    /// No new calls; the caller may wait until none is in flight.
    Drain,
    /// No new calls.
    Cordon,
    Undrain,
}

const READ: &str = "GET, HEAD";
const POST: &str = "POST";
const LIST: &str = "GET, HEAD, POST, PATCH, DELETE";

impl AdminRoute {
    /// # Errors
    /// A path that there isn't, or not for this method.
    pub(super) fn read(method: &Method, path: &str) -> Result<AdminRoute, AdminError> {
        let page = |route: AdminRoute| match *method {
            Method::GET | Method::HEAD => Ok(route),
            _ => Err(AdminError::MethodNotAllowed(READ)),
        };
        match path {
            "/" => page(AdminRoute::Asset(Asset::Page)),
            "/page.css" => page(AdminRoute::Asset(Asset::Style)),
            "/page.js" => page(AdminRoute::Asset(Asset::Script)),
            "/icon.svg" => page(AdminRoute::Asset(Asset::Icon)),
            "/health/live" => page(AdminRoute::Live),
            "/health/ready" => page(AdminRoute::Ready),
            "/openapi.json" => page(AdminRoute::Description),
            "/status" => page(AdminRoute::Status),
            "/backends" => match *method {
                Method::GET | Method::HEAD => Ok(AdminRoute::List),
                Method::POST => Ok(AdminRoute::Add),
                Method::PATCH => Ok(AdminRoute::Change),
                Method::DELETE => Ok(AdminRoute::Remove),
                _ => Err(AdminError::MethodNotAllowed(LIST)),
            },
            "/cache/purge" => match *method {
                Method::POST => Ok(AdminRoute::Purge),
                _ => Err(AdminError::MethodNotAllowed(POST)),
            },
            _ => turn(method, path),
        }
    }

    /// Whether the token is asked for: for all that tells of nodes or changes them.
    pub(super) fn needs_token(&self) -> bool {
        match self {
            AdminRoute::Asset(_)
            | AdminRoute::Live
            | AdminRoute::Ready
            | AdminRoute::Description => false,
            AdminRoute::Status
            | AdminRoute::List
            | AdminRoute::Add
            | AdminRoute::Change
            | AdminRoute::Remove
            | AdminRoute::Turn(..)
            | AdminRoute::Purge => true,
        }
    }

    pub(super) fn body(&self) -> BodyRule {
        match self {
            AdminRoute::Add | AdminRoute::Change | AdminRoute::Purge => BodyRule::Needed,
            AdminRoute::Turn(..) => BodyRule::Allowed,
            AdminRoute::Asset(_)
            | AdminRoute::Live
            | AdminRoute::Ready
            | AdminRoute::Description
            | AdminRoute::Status
            | AdminRoute::List
            | AdminRoute::Remove => BodyRule::None,
        }
    }

    /// The parameters that may stand in the query.
    fn parameters(&self) -> &'static [&'static str] {
        match self {
            AdminRoute::Remove => &["url", "name", "reveal", "chain"],
            AdminRoute::List | AdminRoute::Add | AdminRoute::Change | AdminRoute::Turn(..) => {
                &["reveal", "chain"]
            }
            AdminRoute::Status | AdminRoute::Purge => &["chain"],
            AdminRoute::Asset(_)
            | AdminRoute::Live
            | AdminRoute::Ready
            | AdminRoute::Description => &[],
        }
    }
}

/// Whether a request has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyRule {
    None,
    Allowed,
    Needed,
}

fn turn(method: &Method, path: &str) -> Result<AdminRoute, AdminError> {
    let inner = path.strip_prefix("/backends/");
    let (name, verb) = inner
        .and_then(|inner| inner.split_once('/'))
        .ok_or(AdminError::NoSuchPage)?;
    let turn = match verb {
        "drain" => DrainAction::Drain,
        "cordon" => DrainAction::Cordon,
        "undrain" => DrainAction::Undrain,
        _ => return Err(AdminError::NoSuchPage),
    };
    if method != Method::POST {
        return Err(AdminError::MethodNotAllowed(POST));
    }
    let name = percent_decode_str(name).decode_utf8().ok();
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or(AdminError::NoSuchNode)?;
    Ok(AdminRoute::Turn(turn, name.into_owned()))
}

/// What stands in a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AdminQuery {
    pub url: Option<String>,
    pub name: Option<String>,
    /// The chain whose nodes are meant; left out: those of the only chain, or of the default one.
    pub chain: Option<String>,
    /// Whether URLs are wanted whole.
    pub reveal: bool,
}

impl AdminQuery {
    /// # Errors
    /// A parameter that there isn't here, or twice, or `reveal` other than true or false.
    pub(super) fn read(query: Option<&str>, route: &AdminRoute) -> Result<AdminQuery, AdminError> {
        let mut found = AdminQuery::default();
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !route.parameters().contains(&&*key) {
                return Err(unknown(route));
            }
            if seen.contains(&key) {
                return Err(AdminError::input(format!(
                    "the parameter `{key}` stands here twice"
                )));
            }
            match &*key {
                "url" => found.url = Some(value.into_owned()),
                "name" => found.name = Some(value.into_owned()),
                "chain" => found.chain = Some(value.into_owned()),
                _ => {
                    let truth = value.parse::<bool>();
                    found.reveal =
                        truth.map_err(|_| AdminError::input("`reveal` is `true` or `false`"))?;
                }
            }
            seen.push(key);
        }
        Ok(found)
    }

    /// The node that is meant, by its URL or its name.
    ///
    /// # Errors
    /// Neither, or both.
    pub(super) fn key(&self) -> Result<String, AdminError> {
        key(self.url.clone(), self.name.clone())
    }
}

fn unknown(route: &AdminRoute) -> AdminError {
    match route.parameters() {
        [] => AdminError::input("there are no parameters here"),
        known => AdminError::input(format!("the parameters here are: {}", known.join(", "))),
    }
}

/// One of a URL and a name.
///
/// # Errors
/// Neither, or both, or an empty one.
pub(super) fn key(url: Option<String>, name: Option<String>) -> Result<String, AdminError> {
    match (url, name) {
        (Some(key), None) | (None, Some(key)) if !key.trim().is_empty() => Ok(key),
        _ => Err(AdminError::input(
            "say which node, by its `url` or by its `name`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, path: &str) -> Result<AdminRoute, AdminError> {
        AdminRoute::read(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    #[test]
    fn method_and_path_say_what_is_wanted() {
        let turn = |turn, name: &str| AdminRoute::Turn(turn, name.to_string());
        for (method, path, wanted) in [
            ("GET", "/", AdminRoute::Asset(Asset::Page)),
            ("HEAD", "/page.js", AdminRoute::Asset(Asset::Script)),
            ("GET", "/status", AdminRoute::Status),
            ("GET", "/health/live", AdminRoute::Live),
            ("GET", "/health/ready", AdminRoute::Ready),
            ("GET", "/openapi.json", AdminRoute::Description),
            ("GET", "/backends", AdminRoute::List),
            ("POST", "/backends", AdminRoute::Add),
            ("PATCH", "/backends", AdminRoute::Change),
            ("DELETE", "/backends", AdminRoute::Remove),
            ("POST", "/cache/purge", AdminRoute::Purge),
            ("POST", "/backends/a/drain", turn(DrainAction::Drain, "a")),
            (
                "POST",
                "/backends/a%3A1/cordon",
                turn(DrainAction::Cordon, "a:1"),
            ),
            (
                "POST",
                "/backends/a:1/undrain",
                turn(DrainAction::Undrain, "a:1"),
            ),
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
            assert_eq!(read("POST", path), Err(AdminError::NoSuchPage), "{path}");
        }
        for name in ["", "%ff"] {
            let path = format!("/backends/{name}/drain");
            assert_eq!(read("POST", &path), Err(AdminError::NoSuchNode), "{path}");
        }
        for (method, path, allowed) in [
            ("POST", "/", READ),
            ("DELETE", "/status", READ),
            ("PUT", "/backends", LIST),
            ("OPTIONS", "/backends", LIST),
            ("GET", "/backends/a/drain", POST),
            ("GET", "/cache/purge", POST),
        ] {
            let denied = Err(AdminError::MethodNotAllowed(allowed));
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
            ("POST", "/cache/purge", true),
        ] {
            let route = read(method, path).unwrap();
            assert_eq!(route.needs_token(), needed, "{method} {path}");
        }
    }

    #[test]
    fn a_query_holds_what_is_known_here_and_once() {
        let query = |text, route: &AdminRoute| AdminQuery::read(Some(text), route);
        let remove = query("name=a%3A1&reveal=true", &AdminRoute::Remove).unwrap();
        assert!(remove.reveal && remove.chain.is_none());
        assert_eq!(remove.key(), Ok("a:1".to_string()));
        let by_url = query("url=http%3A%2F%2Fa%2Fk+k", &AdminRoute::Remove).unwrap();
        assert_eq!(by_url.key(), Ok("http://a/k k".to_string()));
        assert_eq!(
            AdminQuery::read(None, &AdminRoute::List),
            Ok(AdminQuery::default())
        );
        for route in [AdminRoute::Status, AdminRoute::Add, AdminRoute::Remove] {
            let of_base = query("chain=base", &route).unwrap();
            assert_eq!(of_base.chain.as_deref(), Some("base"));
        }
        for (text, route) in [
            ("chain=base", AdminRoute::Live),
            ("chain=base&chain=base", AdminRoute::List),
            ("name=a", AdminRoute::List),
            ("x=1", AdminRoute::Remove),
            ("reveal=true", AdminRoute::Status),
            ("reveal", AdminRoute::List),
            ("reveal=1", AdminRoute::List),
            ("reveal=true&reveal=true", AdminRoute::List),
        ] {
            assert!(
                matches!(query(text, &route), Err(AdminError::Input(_))),
                "{text}"
            );
        }
        for text in ["", "name=", "url=+", "url=http://a&name=a"] {
            let key = query(text, &AdminRoute::Remove).unwrap().key();
            assert!(matches!(key, Err(AdminError::Input(_))), "{text}");
        }
    }
}
