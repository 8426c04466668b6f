//! `forebay.otlp`: where traces go. What is left out is what OpenTelemetry's own variables say
//! (OpenTelemetry Environment Variable Specification), and a collector that they name is told also
//! where the section isn't written.

use url::Url;

use super::field::{Field, harmless};
use crate::config::field::ReadContext;
use crate::config::observability::service_name;
use crate::config::settings::OtlpSettings;
use forebay_core::vocabulary::node::{NodeSpecError, Secret, interpolate};

/// Where a collector on the same machine listens.
const DEFAULT_BASE: &str = "http://localhost:4318";
const DEFAULT_SERVICE: &str = "forebay";
/// Of the calls without a trace of their own.
const DEFAULT_SHARE: f64 = 0.01;
/// The path of traces below a base (OTLP/HTTP).
const TRACES: &str = "v1/traces";
/// Headers for the collector.
const HEADERS_MAX: usize = 16;

pub(super) fn otlp(context: &ReadContext<'_>, field: &Field<'_>) -> Option<OtlpSettings> {
    let section = field.section(&["endpoint", "headers", "service", "share"]);
    let variable = |name: &str| (context.lookup)(name).filter(|value| !value.is_empty());
    let by_variables = endpoint_by(&variable);
    let is_wanted = field.is_written() || (by_variables.is_some() && !is_disabled(&variable));
    if !is_wanted && !field.is_noted() {
        return None;
    }
    // What is written is checked all the same.
    if !cfg!(feature = "otlp") && field.is_written() {
        field.warn(
            "has no effect: this program was built without the feature `otlp`, so no traces are \
             exported",
        );
    }
    let endpoint = endpoint(&section.field("endpoint"));
    let service = service_name(&section.field("service")).or(variable("OTEL_SERVICE_NAME"));
    let otlp = OtlpSettings {
        endpoint: endpoint
            .or(by_variables)
            .unwrap_or_else(|| Secret::new(below(DEFAULT_BASE))),
        headers: headers(context, &section.field("headers"))
            .unwrap_or_else(|| headers_by(&variable)),
        service: service.unwrap_or_else(|| DEFAULT_SERVICE.to_string()),
        share: section
            .field("share")
            .decimal(0.0..=1.0)
            .unwrap_or(DEFAULT_SHARE),
    };
    cfg!(feature = "otlp").then_some(otlp)
}

fn is_disabled(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
}

/// A base, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
fn endpoint(field: &Field<'_>) -> Option<Secret> {
    field.parsed("a URL, as in `http://127.0.0.1:4318`", |text| {
        is_url(text).then(|| Secret::new(below(text.trim())))
    })
}

fn endpoint_by(variable: &dyn Fn(&str) -> Option<String>) -> Option<Secret> {
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

fn headers(context: &ReadContext<'_>, field: &Field<'_>) -> Option<Vec<(String, Secret)>> {
    let entries = field.texts();
    if !field.is_written() {
        return None;
    }
    if entries.len() > HEADERS_MAX {
        field.error(format!("more than {HEADERS_MAX} headers"));
    }
    let pairs = entries.iter().map(|entry| {
        let path = format!("forebay.otlp.headers.{}", entry.key);
        let value = Field::new(context, path, entry.line, Some(&entry.node));
        let text = interpolate(value.written()?, context.lookup);
        match text.map(|text| header(&entry.key, &text)) {
            Ok(Some(pair)) => Some(pair),
            Ok(None) => {
                value.error(harmless(&NodeSpecError::Header(entry.key.clone())));
                None
            }
            Err(why) => {
                value.error(harmless(&why));
                None
            }
        }
    });
    Some(pairs.flatten().collect())
}

/// `key=value,key=value`; what is no header is left out.
fn headers_by(variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, Secret)> {
    let text = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"))
        .unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
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

/// Percent signs taken apart, as W3C's Baggage has them; what isn't one stays.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let byte = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!((&*otlp.service, otlp.share), ("edge", DEFAULT_SHARE));
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
