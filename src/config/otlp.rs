//! `forebay.otlp`: where traces go. What is left out is what OpenTelemetry's own variables say
//! (OpenTelemetry Environment Variable Specification), and a collector that they name is told also
//! where the section isn't written.

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use url::Url;

use super::field::{Field, ReadContext};
use super::form::Form;
use super::hidden::{HIDDEN, before_path, harmless};
use forebay_core::vocabulary::node::{NodeSpecError, Secret, interpolate};

/// Where a collector on the same machine listens.
const DEFAULT_BASE: &str = "http://localhost:4318";
/// The path of traces below a base (OTLP/HTTP).
const TRACES: &str = "v1/traces";
/// Headers for the collector.
pub(super) const HEADERS_MAX: usize = 16;

/// What the environment holds.
pub(super) fn variables<'a>(context: &'a ReadContext<'_>) -> impl Fn(&str) -> Option<String> + 'a {
    |name| (context.lookup)(name).filter(|value| !value.is_empty())
}

/// Whether there are traces. What is written is checked all the same.
pub(super) fn is_wanted(field: &Field<'_>) -> bool {
    let has_feature = cfg!(feature = "otlp");
    if field.is_written() && !has_feature {
        field.warn(
            "has no effect: this program was built without the feature `otlp`, so no traces are \
             exported",
        );
    }
    let variable = variables(field.context);
    let is_told = || endpoint_by(&variable).is_some() && !is_disabled(&variable);
    has_feature && (field.is_written() || is_told())
}

pub(super) fn default_endpoint() -> Secret {
    Secret::new(below(DEFAULT_BASE))
}

fn is_disabled(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
}

/// A base, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
pub(super) fn endpoint<S: 'static>() -> Form<S, Secret> {
    let read = |field: &Field<'_>| {
        field.parsed("a URL, as in `http://127.0.0.1:4318`", |text| {
            is_url(text).then(|| Secret::new(below(text.trim())))
        })
    };
    Form::new(read, |url| before_path(url.reveal()).into())
}

pub(super) fn endpoint_by(variable: &dyn Fn(&str) -> Option<String>) -> Option<Secret> {
    let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let base = || variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base));
    whole
        .or_else(base)
        .filter(|url| is_url(url))
        .map(Secret::new)
}

fn is_url(text: &str) -> bool {
    Url::parse(text.trim())
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn below(base: &str) -> String {
    let slash = if base.ends_with('/') { "" } else { "/" };
    format!("{base}{slash}{TRACES}")
}

pub(super) fn headers<S: 'static>() -> Form<S, Vec<(String, Secret)>> {
    Form::new(read_headers, |headers| {
        let hidden = headers
            .iter()
            .map(|(name, _)| (name.clone(), HIDDEN.into()));
        Json::Object(hidden.collect())
    })
}

fn read_headers(field: &Field<'_>) -> Option<Vec<(String, Secret)>> {
    let entries = field.texts();
    if !field.is_written() {
        return None;
    }
    if entries.len() > HEADERS_MAX {
        field.error(format!("more than {HEADERS_MAX} headers"));
    }
    let pairs = entries.iter().map(|entry| {
        let value = field.below(entry);
        let text = interpolate(value.written()?, field.context.lookup);
        let name = || NodeSpecError::Header(entry.key.clone());
        let pair = text.and_then(|text| header(&entry.key, &text).ok_or_else(name));
        pair.map_err(|why| value.error(harmless(&why))).ok()
    });
    Some(pairs.flatten().collect())
}

/// `key=value,key=value`; what is no header is left out.
pub(super) fn headers_by(variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, Secret)> {
    let text = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"))
        .unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    // As W3C's Baggage has them.
    let unescaped = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
    let pairs = pairs.filter_map(|(key, value)| header(key.trim(), &unescaped(value.trim())));
    pairs.take(HEADERS_MAX).collect()
}

fn header(key: &str, value: &str) -> Option<(String, Secret)> {
    let key = key.to_ascii_lowercase();
    let is_ours = ["content-type", "content-length", "host"].contains(&key.as_str());
    let is_name = http::HeaderName::from_bytes(key.as_bytes()).is_ok() && !is_ours;
    let is_value = http::HeaderValue::from_str(value).is_ok();
    (is_name && is_value).then(|| (key, Secret::new(value.to_string())))
}

#[cfg(test)]
mod tests {
    use crate::config::settings::OtlpSettings;
    use crate::config::{Severity, read};

    fn settings(text: &str, variables: &[(&str, &str)]) -> Option<OtlpSettings> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        let reading = read(text, &lookup);
        let settings = reading.settings;
        settings
            .unwrap_or_else(|| panic!("{:?}", reading.findings))
            .otlp
    }

    #[test]
    #[cfg(not(feature = "otlp"))]
    fn a_program_without_it_says_so_where_it_is_written() {
        let reading = read(
            "version: 1\nthreads: 1\nforebay:\n  otlp: { share: 0.5 }\n",
            &|_| None,
        );
        let found = reading.findings.first().map(ToString::to_string);
        let found = found.unwrap_or_default();
        assert!(
            found.starts_with("4: warning: forebay.otlp: has no effect"),
            "{found}"
        );
        assert_eq!(reading.settings.unwrap().otlp, None);
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert_eq!(settings("", &[base]), None);
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn traces_go_where_the_section_or_the_variables_say() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x");
        let off = ("OTEL_SDK_DISABLED", "true");
        let endpoint = |text: &str, variables: &[(&str, &str)]| {
            let otlp = settings(text, variables);
            otlp.map(|otlp| otlp.endpoint.reveal().to_string())
        };
        let empty = "forebay: { otlp: {} }";
        let written = "forebay: { otlp: { endpoint: \"https://mine/otlp/\" } }";
        for (text, variables, wanted) in [
            ("", &[][..], None),
            ("", &[base], Some("http://c:4318/v1/traces")),
            ("", &[base, whole], Some("http://t:1/x")),
            ("", &[base, off], None),
            (empty, &[], Some("http://localhost:4318/v1/traces")),
            (empty, &[base, off], Some("http://c:4318/v1/traces")),
            (written, &[base], Some("https://mine/otlp/v1/traces")),
        ] {
            assert_eq!(
                endpoint(text, variables).as_deref(),
                wanted,
                "{text} {variables:?}"
            );
        }
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn headers_services_and_shares_are_read_and_never_shown() {
        let pairs = |otlp: &OtlpSettings| {
            let pairs = otlp.headers.iter();
            let pairs = pairs.map(|(key, value)| format!("{key}: {}", value.reveal()));
            pairs.collect::<Vec<_>>()
        };
        let variables = [
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "X-Key=a%20s3cret, bad key=1,b=%zz,c",
            ),
            ("OTEL_SERVICE_NAME", "edge"),
        ];
        let otlp = settings("forebay: { otlp: {} }", &variables).unwrap();
        assert_eq!(pairs(&otlp), ["x-key: a s3cret", "b: %zz"]);
        assert_eq!((&*otlp.service, otlp.share), ("edge", 0.01));
        assert!(!format!("{otlp:?}").contains("s3cret"));
        let text = "forebay: { otlp: { headers: { X-Key: \"${OTEL_SERVICE_NAME}\" }, \
                    service: api, share: 1 } }";
        let otlp = settings(text, &variables).unwrap();
        assert_eq!(pairs(&otlp), ["x-key: edge"]);
        assert_eq!((&*otlp.service, otlp.share), ("api", 1.0));
    }

    #[test]
    fn what_is_wrong_is_said_whether_or_not_it_has_an_effect() {
        for text in [
            "{ endpoint: \"localhost:4318\" }",
            "{ endpoint: \"ftp://a\" }",
            "{ share: 1.1 }",
            "{ service: \" \" }",
            "{ headers: { \"a b\": c } }",
            "{ headers: { host: c } }",
            "{ headers: { a: \"${NOPE}\" } }",
            "{ protocol: grpc }",
        ] {
            let text = format!("version: 1\nthreads: 1\nforebay: {{ otlp: {text} }}");
            let reading = read(&text, &|_| None);
            let errors = reading.findings.iter();
            let errors = errors.filter(|finding| finding.severity == Severity::Error);
            assert_eq!(errors.count(), 1, "{text}: {:?}", reading.findings);
        }
    }
}
