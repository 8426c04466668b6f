//! Reads the certificates again: on SIGHUP, and when a file of theirs has changed. A pair that can't
//! be shown (two files are seldom exchanged at one moment) leaves the one before it in force.

use std::sync::Arc;

use super::watched::{Hangup, LOOK_EVERY, Watched};
use crate::clock;
use crate::state::certificates::{Certificate, Pair};
use crate::telemetry::metrics::Metrics;

/// Follows the files of one listener.
pub struct Renewal {
    pub certificate: Arc<Certificate>,
    pub metrics: Arc<Metrics>,
    /// What was said last of a pair that can't be shown.
    pub told: Option<String>,
}

impl Renewal {
    /// Watches for as long as it is awaited.
    pub async fn watch(&mut self) {
        let Certificate {
            certificate, key, ..
        } = &*self.certificate;
        let mut hangup = Hangup::listen();
        let mut files = Watched::new(vec![certificate.clone(), key.clone()]).await;
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
            Pair::read(&shown.certificate, &shown.key, now.cast_signed())
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
