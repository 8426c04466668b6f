//! The top level of an answer, found where it was written.

use super::super::grammar::{NotJson, Scanner};

/// The top level of an answer, as written. A member that is `null` counts as none, but for the
/// result.
#[derive(Default)]
pub(super) struct RawAnswer<'a> {
    pub id: Option<&'a str>,
    pub result: Option<&'a str>,
    pub error: Option<&'a str>,
}

impl<'a> RawAnswer<'a> {
    /// # Errors
    /// It is no object, or one in which a member stands twice.
    pub fn take(scanner: &mut Scanner<'a>) -> Result<RawAnswer<'a>, NotJson> {
        let mut raw = RawAnswer::default();
        let mut seen = [false; 3];
        scanner.object(|key, value, _| {
            let (slot, at) = match key.text().as_deref() {
                Some("id") => (&mut raw.id, 0),
                Some("result") => (&mut raw.result, 1),
                Some("error") => (&mut raw.error, 2),
                Some(_) | None => return Ok(()),
            };
            *slot = Some(value).filter(|value| at == 1 || *value != "null");
            // Read twice, it could be read in two ways.
            let was_seen = std::mem::replace(&mut seen[at], true);
            if was_seen { Err(NotJson) } else { Ok(()) }
        })?;
        Ok(raw)
    }
}
