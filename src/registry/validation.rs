//! What a record says of itself where a part of its environment may be missing.
//!
//! A node may be written down by a process that lacks the variables of the one that will serve
//! it. Such a record is taken; what can be checked without the missing values is checked.

use forebay_core::vocabulary::node::{NodeRecord, NodeSpec, NodeSpecError, NodeUrl};

/// Values of the environment by name.
pub type EnvironmentLookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The name of a node without a name and without a readable URL.
pub const UNKNOWN: &str = "unknown";

/// Stand for unset variables while the rest is checked: good in a host, a port and a path.
const STAND_INS: [&str; 2] = ["1", "2"];

/// Checks `record` and names the variables of it that are not set here.
///
/// # Errors
/// Any fault other than an unset variable.
pub fn unset_variables(
    record: &NodeRecord,
    lookup: EnvironmentLookup<'_>,
) -> Result<Vec<String>, NodeSpecError> {
    let mut unset = Vec::new();
    let mut checked = record.clone();
    if let Some(name) = opaque(&record.url, NodeUrl::http(&record.url, lookup)) {
        unset.push(name);
        checked.url = "http://stand-in".to_string();
    }
    if let Some(ws_url) = &record.ws_url
        && let Some(name) = opaque(ws_url, NodeUrl::socket(ws_url, lookup))
    {
        unset.push(name);
        checked.ws_url = None;
    }
    with_stand_ins(lookup, STAND_INS[0], &mut unset, |lookup| {
        checked.resolve(lookup)
    })?;
    unset.sort();
    unset.dedup();
    Ok(unset)
}

/// The identity of the node at `url`; the text itself where it can't be resolved here. It holds
/// credentials: keep it inside.
pub fn identity_of(url: &str, lookup: EnvironmentLookup<'_>) -> String {
    match NodeUrl::http(url, lookup) {
        Ok(url) => url.identity(),
        Err(_) => url.trim().to_string(),
    }
}

/// Whether both lead to one node, see [`NodeSpec::is_same_node`]; as they are written, where the environment lacks
/// a variable of one.
pub fn are_one_node(one: &NodeRecord, other: &NodeRecord, lookup: EnvironmentLookup<'_>) -> bool {
    let identity = |record: &NodeRecord| identity_of(&record.url, lookup);
    match (one.resolve(lookup), other.resolve(lookup)) {
        (Ok(one), Ok(other)) => one.is_same_node(&other),
        (Err(_), _) | (_, Err(_)) => {
            one.headers == other.headers && identity(one) == identity(other)
        }
    }
}

/// What a node is known by: its given name, else `host:port`, else (where its host is in a
/// variable that is not set here) that variable, as `${NAME}`, else [`UNKNOWN`].
pub fn name_of(given: Option<&str>, url: &str, lookup: EnvironmentLookup<'_>) -> String {
    if let Some(given) = given {
        return given.to_string();
    }
    if let Some(host_and_port) = host_and_port(url, lookup) {
        return host_and_port;
    }
    match NodeUrl::http(url, lookup) {
        Err(NodeSpecError::Unset(name)) => format!("${{{name}}}"),
        Ok(_) | Err(_) => UNKNOWN.to_string(),
    }
}

/// The host and port of `url`, when no unset variable has a part in them: two different values
/// for the missing ones make no difference.
fn host_and_port(url: &str, lookup: EnvironmentLookup<'_>) -> Option<String> {
    let [one, other] = STAND_INS.map(|stand_in| {
        let read = |lookup: EnvironmentLookup<'_>| NodeUrl::http(url, lookup);
        with_stand_ins(lookup, stand_in, &mut Vec::new(), read).ok()
    });
    let (one, other) = (one?.host_and_port(), other?.host_and_port());
    (one == other).then_some(one)
}

/// Those of `records` that can be used here, and a sentence on each that can't. Of two with one URL or
/// one name, as their variables have it, the first is used.
pub fn resolve_all(
    records: &[NodeRecord],
    lookup: EnvironmentLookup<'_>,
) -> (Vec<NodeSpec>, Vec<String>) {
    let mut specs: Vec<NodeSpec> = Vec::with_capacity(records.len());
    let mut rejected = Vec::new();
    for (place, record) in (1..).zip(records) {
        let name = record.name.clone();
        let name = name.unwrap_or_else(|| format!("number {place}"));
        match record.resolve(lookup) {
            Err(why) => rejected.push(format!("{name}: {why}")),
            Ok(spec) => {
                let identity = spec.url.identity();
                if specs.iter().any(|other| other.url.identity() == identity) {
                    rejected.push(format!("{name}: another node has the same URL"));
                } else if specs.iter().any(|other| other.name == spec.name) {
                    rejected.push(format!("{name}: another node has the same name"));
                } else {
                    specs.push(spec);
                }
            }
        }
    }
    (specs, rejected)
}

/// The unset variable of a URL that begins with one: nothing of such a URL can be checked.
fn opaque(text: &str, read: Result<NodeUrl, NodeSpecError>) -> Option<String> {
    match read {
        Err(NodeSpecError::Unset(name)) if text.trim_start().starts_with("${") => Some(name),
        Ok(_) | Err(_) => None,
    }
}

/// Reads with `stand_in` for each variable that turns out to be unset, and notes those in
/// `unset`. Only such are replaced: a default in the text keeps its right.
fn with_stand_ins<T>(
    lookup: EnvironmentLookup<'_>,
    stand_in: &str,
    unset: &mut Vec<String>,
    read: impl Fn(EnvironmentLookup<'_>) -> Result<T, NodeSpecError>,
) -> Result<T, NodeSpecError> {
    loop {
        let outcome = read(&|name| {
            let missing = || unset.iter().any(|known| known == name);
            lookup(name).or_else(|| missing().then(|| stand_in.to_string()))
        });
        match outcome {
            Err(NodeSpecError::Unset(name)) if !unset.contains(&name) => unset.push(name),
            Ok(_) | Err(_) => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::testing::named;

    fn environment(name: &str) -> Option<String> {
        (name == "KEY").then(|| "s3cret".to_string())
    }

    fn unset(record: &NodeRecord) -> Result<Vec<String>, NodeSpecError> {
        unset_variables(record, &environment)
    }

    #[test]
    fn a_record_with_unset_variables_is_taken_and_they_are_named() {
        let mut record = NodeRecord::at("https://a/${ONE}/${KEY}/${TWO}");
        record.ws_url = Some("${SOCKET}".to_string());
        record
            .headers
            .insert("x".to_string(), "${THREE}".to_string());
        assert_eq!(unset(&record).unwrap(), ["ONE", "SOCKET", "THREE", "TWO"]);
        assert_eq!(unset(&NodeRecord::at("${URL}")).unwrap(), ["URL"]);
        assert!(unset(&NodeRecord::at("http://a/${KEY}/${B:-b}")).is_ok_and(|all| all.is_empty()));
    }

    #[test]
    fn what_can_be_checked_without_the_variables_is_checked() {
        let bad_scheme = NodeRecord::at("ftp://a/${ONE}");
        assert!(matches!(
            unset(&bad_scheme),
            Err(NodeSpecError::UrlScheme(..))
        ));
        let mut bad_name = NodeRecord::at("${URL}");
        bad_name.name = Some("a b".to_string());
        assert_eq!(unset(&bad_name), Err(NodeSpecError::Name));
        let mut bad_header = NodeRecord::at("${URL}");
        bad_header
            .headers
            .insert("host".to_string(), "${ONE}".to_string());
        assert!(matches!(unset(&bad_header), Err(NodeSpecError::Header(_))));
    }

    #[test]
    fn a_name_is_the_given_one_or_the_host_or_the_variable_that_hides_it() {
        for (given, url, name) in [
            (Some("geth-1"), "http://a:1", "geth-1"),
            (None, "https://a.example/${NOPE}", "a.example:443"),
            (None, "http://${KEY}:8545", "s3cret:8545"),
            (None, "http://${HOST:-geth}:8545/${NOPE}", "geth:8545"),
            (None, "http://10.0.0.${LAST}", "${LAST}"),
            (None, "${LEADER_URL}", "${LEADER_URL}"),
            (None, "nonsense", UNKNOWN),
        ] {
            assert_eq!(name_of(given, url, &environment), name, "{url}");
        }
    }

    #[test]
    fn of_two_nodes_whose_variables_make_them_one_the_first_is_used() {
        let records = [
            named("a", "http://${KEY}:1"),
            named("b", "http://s3cret:1/"),
            NodeRecord::at("http://c:1"),
            NodeRecord::at("http://c:1/x"),
            NodeRecord::at("http://${NOPE}"),
        ];
        let (specs, rejected) = resolve_all(&records, &environment);
        let names: Vec<_> = specs.iter().map(|spec| &*spec.name).collect();
        assert_eq!(names, ["a", "c:1"]);
        let told = [
            "b: another node has the same URL",
            "number 4: another node has the same name",
            "number 5: the environment variable NOPE is not set",
        ];
        assert_eq!(rejected, told);
    }

    #[test]
    fn the_identity_of_what_cannot_be_resolved_is_its_text() {
        assert_eq!(identity_of(" HTTP://A:80/ ", &environment), "http://a");
        assert_eq!(
            identity_of(" http://a/${NOPE}", &environment),
            "http://a/${NOPE}"
        );
    }
}
