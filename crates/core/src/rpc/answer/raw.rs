//! The top level of an answer, found where it was written.

use crate::json::grammar::{InvalidJson, Scanner};

/// The top level of an answer, as written.
#[derive(Default)]
pub(super) struct RawAnswer<'a> {
    pub id: Option<&'a str>,
    pub result: Option<&'a str>,
    pub error: Option<&'a str>,
}

impl<'a> RawAnswer<'a> {
    /// # Errors
    /// It is no object, or one in which a member stands twice.
    pub(super) fn take(scanner: &mut Scanner<'a>) -> Result<RawAnswer<'a>, InvalidJson> {
        let mut raw = RawAnswer::default();
        scanner.object(|key, scanner| {
            let (value, _) = scanner.value()?;
            let slot = match key.text().as_deref() {
                Some("id") => &mut raw.id,
                Some("result") => &mut raw.result,
                Some("error") => &mut raw.error,
                Some(_) | None => return Ok(()),
            };
            // One that stands twice could be read in two ways.
            slot.replace(value).map_or(Ok(()), |_| Err(InvalidJson))
        })?;
        Ok(raw)
    }
}
