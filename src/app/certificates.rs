//! The certificates that the settings name, read before anything listens.

use std::sync::Arc;

use anyhow::anyhow;

use crate::clock;
use crate::config::settings::{Https, Settings};
use crate::state::certificates::{Certificate, CertificateFault, Pair};

/// Each `listen.https` whose certificate or key can't be used, by its place, and why.
pub fn unfit_certificates(settings: &Settings) -> Vec<(usize, CertificateFault)> {
    let all = settings.listen.https.iter().enumerate();
    all.filter_map(|(at, https)| Some((at, read(https).err()?)))
        .collect()
}

/// One for each `listen.https`.
///
/// # Errors
/// One of them can't be used; the sentence names the file.
pub(super) fn open(settings: &Settings) -> anyhow::Result<Vec<Arc<Certificate>>> {
    let all = settings.listen.https.iter().map(|https| {
        let pair =
            read(https).map_err(|why| anyhow!("can't listen on {}: {why}", https.address))?;
        let Https {
            address,
            certificate,
            key,
            ..
        } = https;
        Ok(Arc::new(Certificate::new(
            *address,
            certificate,
            key,
            &pair,
        )))
    });
    all.collect()
}

fn read(https: &Https) -> Result<Pair, CertificateFault> {
    let now = clock::unix_millis() / 1000;
    Pair::read(&https.certificate, &https.key, now.cast_signed())
}
