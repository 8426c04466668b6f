//! The certificates that the settings name, read before anything listens.

use std::sync::Arc;

use anyhow::anyhow;

use crate::clock;
use crate::config::settings::{HttpsListener, Settings};
use crate::shared::certificates::{CertificateError, CertificatePair, ListenerCertificate};

/// Each `listen.https` whose certificate or key can't be used, by its place, and why.
pub fn unfit_certificates(settings: &Settings) -> Vec<(usize, CertificateError)> {
    let all = settings.listen.https.iter().enumerate();
    all.filter_map(|(at, https)| Some((at, read(https).err()?)))
        .collect()
}

/// One for each `listen.https`.
///
/// # Errors
/// One of them can't be used; the sentence names the file.
pub(super) fn open(settings: &Settings) -> anyhow::Result<Vec<Arc<ListenerCertificate>>> {
    let all = settings.listen.https.iter().map(|https| {
        let pair =
            read(https).map_err(|why| anyhow!("can't listen on {}: {why}", https.address))?;
        let HttpsListener {
            address,
            certificate,
            key,
            ..
        } = https;
        Ok(Arc::new(ListenerCertificate::new(
            *address,
            certificate,
            key,
            &pair,
        )))
    });
    all.collect()
}

fn read(https: &HttpsListener) -> Result<CertificatePair, CertificateError> {
    let now = clock::unix_millis() / 1000;
    CertificatePair::read(&https.certificate, &https.key, now.cast_signed())
}
