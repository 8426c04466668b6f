//! The certificates that clients are shown: read as the listener uses them, exchanged while it runs.
//!
//! A handshake takes what is in force at its moment; connections that stand are not touched. What
//! can't be shown to a client is never put in force: the pair before it stays.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a pair can't be shown. Nothing of a key is ever in it.
#[derive(Debug, Error)]
pub enum CertificateError {
    #[error("{} can't be read: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds a certificate that can't be understood: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("{} holds no private key in PEM; one with a passphrase can't be used", .0.display())]
    NoKey(PathBuf),
    #[error("the key in {} can't be used: {why}", path.display())]
    Key { path: PathBuf, why: String },
    #[error("the key in {} is not the key of the certificate in {}", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("the certificate in {} has expired, at {at}", path.display())]
    Expired { path: PathBuf, at: String },
}

/// A pair that can be shown.
#[derive(Clone, Debug)]
pub struct CertificatePair {
    certified: Arc<CertifiedKey>,
    /// When its certificate expires, in seconds since 1970.
    pub not_after: i64,
}

impl CertificatePair {
    /// Reads both files; `now` in seconds since 1970. Blocks.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn read(
        certificate: &Path,
        key: &Path,
        now: i64,
    ) -> Result<CertificatePair, CertificateError> {
        let chain = chain(certificate)?;
        let not_after = not_after(&chain, certificate)?;
        if not_after < now {
            let at = chrono::DateTime::from_timestamp(not_after, 0).unwrap_or_default();
            return Err(CertificateError::Expired {
                path: certificate.to_path_buf(),
                at: at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            });
        }
        let private = PrivateKeyDer::from_pem_slice(&bytes_at(key)?)
            .map_err(|_| CertificateError::NoKey(key.to_path_buf()))?;
        let certified = CertifiedKey::from_der(chain, private, &ring::default_provider());
        let certified = certified.map_err(|why| match why {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
                certificate: certificate.to_path_buf(),
                key: key.to_path_buf(),
            },
            why => CertificateError::Key {
                path: key.to_path_buf(),
                why: why.to_string(),
            },
        })?;
        Ok(CertificatePair {
            certified: Arc::new(certified),
            not_after,
        })
    }

    fn is_same(&self, other: &CertifiedKey) -> bool {
        self.certified.cert == other.cert
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = bytes_at(path)?;
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(chain) if chain.is_empty() => Err(CertificateError::NoCertificate(path.to_path_buf())),
        Ok(chain) => Ok(chain),
        Err(why) => Err(CertificateError::Malformed {
            path: path.to_path_buf(),
            why: why.to_string(),
        }),
    }
}

/// Of the first certificate, the one that names us: those above it may be replaced by a client's own.
fn not_after(chain: &[CertificateDer<'_>], path: &Path) -> Result<i64, CertificateError> {
    let first = chain.first().map_or(&[][..], |first| first.as_ref());
    let (_, read) =
        x509_parser::parse_x509_certificate(first).map_err(|why| CertificateError::Malformed {
            path: path.to_path_buf(),
            why: why.to_string(),
        })?;
    Ok(read.validity().not_after.timestamp())
}

fn bytes_at(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let mut file = file.take(FILE_BYTES_MAX + 1);
        file.read_to_end(&mut bytes)
    });
    read.map_err(|source| CertificateError::File {
        path: path.to_path_buf(),
        source,
    })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CertificateError::TooLarge(path.to_path_buf()));
    }
    Ok(bytes)
}

/// What one listener shows, and the files that it came from.
#[derive(Debug)]
pub struct ListenerCertificate {
    pub address: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
    shown: ArcSwap<CertifiedKey>,
}

impl ListenerCertificate {
    /// `pair`: what was read from the two files.
    pub fn new(
        address: SocketAddr,
        certificate: &Path,
        key: &Path,
        pair: &CertificatePair,
    ) -> ListenerCertificate {
        ListenerCertificate {
            address,
            certificate: certificate.to_path_buf(),
            key: key.to_path_buf(),
            shown: ArcSwap::new(pair.certified.clone()),
        }
    }

    /// From now on `pair` is shown; says whether it is another certificate.
    pub fn show(&self, pair: &CertificatePair) -> bool {
        let is_new = !pair.is_same(&self.shown.load());
        self.shown.store(pair.certified.clone());
        is_new
    }
}

impl ResolvesServerCert for ListenerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load_full())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn with(certificate: &str, key: &str) -> Files {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("chain.pem"), certificate).unwrap();
            fs::write(folder.path().join("key.pem"), key).unwrap();
            Files { folder }
        }

        fn read(&self, now: i64) -> Result<CertificatePair, CertificateError> {
            let path = |name: &str| self.folder.path().join(name);
            CertificatePair::read(&path("chain.pem"), &path("key.pem"), now)
        }

        #[track_caller]
        fn refused(&self, file: &str, why: &str) {
            let told = self.read(NOW).unwrap_err().to_string();
            let file = self.folder.path().join(file);
            assert!(told.contains(&file.display().to_string()), "{told}");
            assert!(told.contains(why), "{told}");
        }
    }

    fn made() -> (String, String) {
        let mut wanted = rcgen::CertificateParams::new(["localhost".to_string()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&key).unwrap();
        (made.pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_with_the_end_of_its_time_and_is_good_to_the_very_second() {
        let (certificate, key) = made();
        let files = Files::with(&certificate, &key);
        let end = 1_893_542_400;
        assert_eq!(files.read(NOW).unwrap().not_after, end);
        assert!(files.read(end).is_ok());
        let told = files.read(end + 1).unwrap_err().to_string();
        assert!(
            told.ends_with("has expired, at 2030-01-02T00:00:00Z"),
            "{told}"
        );
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_its_file_and_why() {
        let ((certificate, key), (_, other)) = (made(), made());
        let missing = Files::with(&certificate, &key);
        fs::remove_file(missing.folder.path().join("key.pem")).unwrap();
        missing.refused("key.pem", "can't be read: No such file");
        fs::create_dir(missing.folder.path().join("key.pem")).unwrap();
        missing.refused("key.pem", "can't be read: Is a directory");
        Files::with(&certificate, &other).refused("key.pem", "is not the key of the certificate");
        Files::with(&certificate, &certificate).refused("key.pem", "holds no private key");
        Files::with(&key, &key).refused("chain.pem", "holds no certificate");
        Files::with("", &key).refused("chain.pem", "holds no certificate");
        let cut = &certificate[..certificate.len() / 2];
        Files::with(cut, &key).refused("chain.pem", "chain.pem holds");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        Files::with(garbage, &key).refused("chain.pem", "can't be understood");
        let limit = usize::try_from(FILE_BYTES_MAX).unwrap();
        let full = certificate.clone() + &"\n".repeat(limit - certificate.len());
        assert!(Files::with(&full, &key).read(NOW).is_ok());
        Files::with(&(full + "\n"), &key).refused("chain.pem", "larger than");
    }

    #[test]
    fn another_certificate_is_shown_from_then_on() {
        let ((one, key), (other, other_key)) = (made(), made());
        let [one, other] = [(one, key), (other, other_key)]
            .map(|(certificate, key)| Files::with(&certificate, &key).read(NOW).unwrap());
        let address = "127.0.0.1:1".parse().unwrap();
        let shown = ListenerCertificate::new(address, Path::new("c"), Path::new("k"), &one);
        assert!(!shown.show(&one));
        assert!(shown.show(&other));
        assert!(other.is_same(&shown.shown.load()));
    }
}
