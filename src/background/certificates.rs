//! Reads the certificates again: on SIGHUP, and when a file of theirs has changed. A pair that can't
//! be shown (two files are seldom exchanged at one moment) leaves the one before it in force.

use std::sync::Arc;

use crate::background::watched_files::{HangupSignal, LOOK_EVERY, WatchedFiles};
use crate::clock;
use crate::observe::metrics::ProcessMetrics;
use crate::shared::certificates::{CertificatePair, ListenerCertificate};

/// Follows the files of one listener.
pub struct CertificateReload {
    pub certificate: Arc<ListenerCertificate>,
    pub metrics: Arc<ProcessMetrics>,
    /// What was said last of a pair that can't be shown.
    pub told: Option<String>,
}

impl CertificateReload {
    /// Watches for as long as it is awaited.
    pub async fn watch(&mut self) {
        let ListenerCertificate {
            certificate, key, ..
        } = &*self.certificate;
        let mut hangup = HangupSignal::listen();
        let mut files = WatchedFiles::new(vec![certificate.clone(), key.clone()]).await;
        loop {
            tokio::select! {
                () = hangup.heard() => {
                    files.settle().await;
                    self.read().await;
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if files.is_due().await {
                        self.read().await;
                    }
                }
            }
        }
    }

    async fn read(&mut self) {
        let shown = self.certificate.clone();
        let read = tokio::task::spawn_blocking(move || {
            let now = clock::unix_millis() / 1000;
            CertificatePair::read(&shown.certificate, &shown.key, now.cast_signed())
        });
        let address = self.certificate.address;
        let why = match read.await {
            Ok(Ok(pair)) => {
                if self.certificate.show(&pair) {
                    log::info!(
                        "{address} shows a new certificate to those who connect from now on"
                    );
                }
                self.metrics.certificate_expires(address, pair.not_after);
                self.told = None;
                return;
            }
            Ok(Err(why)) => why.to_string(),
            Err(why) => why.to_string(),
        };
        if self.told.as_ref() != Some(&why) {
            log::error!("{address} goes on with the certificate that it has: {why}");
            self.told = Some(why);
        }
    }
}
