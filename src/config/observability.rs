//! `forebay.cloudwatch` and `forebay.log`: what is told beside the metrics, where to, how often.

use serde_json::Value as Json;

use super::field::Field;
use super::form::Form;

/// The longest namespace, in bytes (CloudWatch's PutMetricData).
const NAMESPACE_BYTES_MAX: usize = 255;
/// The longest service, in bytes; CloudWatch's dimensions hold more.
const SERVICE_BYTES_MAX: usize = 255;

pub(super) fn namespace(field: &Field<'_>) -> Option<String> {
    let form = "a namespace of letters, digits and `. - _ / # :`, that doesn't begin with `AWS/`";
    field.parsed(form, |text| {
        let is_clean = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
        let fits = (1..=NAMESPACE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_clean);
        let is_ours = !text.starts_with("AWS/") && !text.starts_with(':');
        (fits && is_ours).then(|| text.to_string())
    })
}

pub(super) fn service_name(field: &Field<'_>) -> Option<String> {
    field.parsed("a name of printable ASCII", |text| {
        let is_clean = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let fits = (1..=SERVICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_clean);
        let is_name = !text.trim().is_empty() && !text.starts_with(':');
        (fits && is_name).then(|| text.to_string())
    })
}

/// `off`, or a share.
pub(super) fn logged_share<S: 'static>() -> Form<S, Option<f64>> {
    let read = |field: &Field<'_>| match field.text()?.value.trim() {
        "off" | "false" => Some(None),
        _ => field.decimal(0.0..=1.0).map(Some),
    };
    Form::new(read, |share| share.map_or(Json::from("off"), Json::from))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::tests::reading;

    #[test]
    fn nothing_is_told_unless_it_is_asked_for() {
        for text in [
            "",
            "forebay: {cloudwatch: , log: }",
            "forebay: {log: {calls: off}}",
        ] {
            let settings = reading(text).settings.unwrap();
            assert_eq!(settings.cloudwatch, None, "{text}");
            assert_eq!(settings.log.calls, None, "{text}");
        }
        let settings = reading("forebay: {cloudwatch: {}}").settings.unwrap();
        let cloudwatch = settings.cloudwatch.unwrap();
        assert_eq!(
            (&*cloudwatch.namespace, &*cloudwatch.service),
            ("Forebay", "forebay")
        );
        assert_eq!(cloudwatch.interval, Duration::from_secs(60));
    }

    #[test]
    fn what_is_written_is_what_is_told() {
        let text = "forebay: {cloudwatch: {namespace: My/App, service: a b, interval: 5m}, \
                    log: {calls: 0.01}}";
        let settings = reading(text).settings.unwrap();
        let cloudwatch = settings.cloudwatch.unwrap();
        assert_eq!(
            (&*cloudwatch.namespace, &*cloudwatch.service),
            ("My/App", "a b")
        );
        assert_eq!(cloudwatch.interval, Duration::from_secs(300));
        assert_eq!(settings.log.calls, Some(0.01));
        for (value, wanted) in [("0", 0.0), ("1", 1.0)] {
            let text = format!("forebay: {{log: {{calls: {value}}}}}");
            assert_eq!(reading(&text).settings.unwrap().log.calls, Some(wanted));
        }
    }
}
