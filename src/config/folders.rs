//! Where the relative paths of a configuration lead: for `serve` and every command to the same files,
//! wherever it was started.
//!
//! They count from the folder of the configuration; from the one above it, where that folder is called
//! `conf` or is the one that the path begins with (`data/pingora.yaml` says `data/forebay.db`); and
//! from `/var/lib/NAME` for a configuration in `/etc/NAME`. Where [`HOME_VARIABLE`] is set, as in our
//! image, they count from there. Earlier releases counted from where the
//! process was started: what stands there, or in another of these folders, is used where it is.

use std::path::{Component, Path, PathBuf};

use pingora::server::configuration::ServerConf;

use super::settings::Settings;

/// Of configurations in `/etc`: where their data stands (FHS 3.0, 5.8).
const ETC: &str = "/etc";
const STATE: &str = "/var/lib";
/// A folder beside `data` and others, which is no place for data itself.
const CONF: &str = "conf";

/// Names the folder that all relative paths count from.
pub const HOME_VARIABLE: &str = "FOREBAY_HOME";

/// The folders that matter for one configuration.
#[derive(Clone, Debug)]
pub struct ConfigFolders {
    /// As the environment says.
    home: Option<PathBuf>,
    /// Of the configuration, absolute.
    folder: PathBuf,
    /// Where this process was started.
    here: PathBuf,
}

impl ConfigFolders {
    /// Of the configuration at `path`. Links aren't followed: a file that is mounted through one
    /// stands where it was asked for.
    pub fn of(path: &Path) -> ConfigFolders {
        let here = std::env::current_dir().unwrap_or_default();
        let folder = here.join(path);
        ConfigFolders {
            home: std::env::var_os(HOME_VARIABLE).map(PathBuf::from),
            folder: folder.parent().unwrap_or(&here).components().collect(),
            here,
        }
    }

    /// Where `path` leads.
    pub fn lead(&self, path: &Path) -> PathBuf {
        let all = self.all(path);
        let found = all.iter().find(|place| place.exists());
        found.or(all.first()).cloned().unwrap_or_default()
    }

    /// Where the file `path` stands beside the place that it leads to.
    pub fn others(&self, path: &Path) -> Vec<PathBuf> {
        let lead = self.lead(path);
        let is_other = |place: &PathBuf| place.is_file() && *place != lead;
        self.all(path).into_iter().filter(is_other).collect()
    }

    /// Where it may stand, first where a new one is made.
    fn all(&self, path: &Path) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.home.iter().cloned().collect();
        if let Ok(below) = self.folder.strip_prefix(ETC)
            && below.components().next().is_some()
        {
            folders.push(Path::new(STATE).join(below));
        }
        if self.counts_from_above(path)
            && let Some(above) = self.folder.parent()
        {
            folders.push(above.to_path_buf());
        }
        folders.extend([self.folder.clone(), self.here.clone()]);
        let places = folders.iter().map(|folder| folder.join(path));
        let mut all: Vec<PathBuf> = places.map(|place| place.components().collect()).collect();
        let mut seen = std::collections::HashSet::new();
        all.retain(|place| seen.insert(place.clone()));
        all
    }

    fn counts_from_above(&self, path: &Path) -> bool {
        let name = self.folder.file_name();
        let mut steps = path.components().filter(|step| *step != Component::CurDir);
        let first = steps.next().filter(|_| steps.next().is_some());
        name.is_some_and(|name| {
            name == CONF || first.is_some_and(|first| first.as_os_str() == name)
        })
    }

    /// Puts absolute paths into what was read.
    pub fn put_into(&self, settings: &mut Settings) {
        let registry = &mut settings.registry;
        for path in [&mut registry.path, &mut registry.last_list] {
            *path = self.lead(path);
        }
        for https in &mut settings.listen.https {
            https.certificate = self.lead(&https.certificate);
            https.key = self.lead(&https.key);
        }
        for chain in &mut settings.chains {
            self.put_into(&mut chain.settings);
        }
    }

    pub fn put_ca_file(&self, server: &mut ServerConf) {
        if let Some(file) = &mut server.ca_file {
            *file = self.lead(Path::new(file)).to_string_lossy().into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn places(folder: &str, here: &str) -> ConfigFolders {
        ConfigFolders {
            home: None,
            folder: PathBuf::from(folder),
            here: PathBuf::from(here),
        }
    }

    #[test]
    fn a_new_file_stands_at_one_place_wherever_the_process_was_started() {
        let data = Path::new("data/forebay.db");
        for (what, folder, lead) in [
            (
                "the image, and compose",
                "/forebay/conf",
                "/forebay/data/forebay.db",
            ),
            ("Terraform", "/forebay/data", "/forebay/data/forebay.db"),
            (
                "the unit",
                "/etc/forebay",
                "/var/lib/forebay/data/forebay.db",
            ),
            (
                "a checkout",
                "/home/a/forebay/conf",
                "/home/a/forebay/data/forebay.db",
            ),
            (
                "a folder of its own",
                "/srv/rpc",
                "/srv/rpc/data/forebay.db",
            ),
            ("/etc itself", "/etc", "/etc/data/forebay.db"),
        ] {
            for here in ["/", "/forebay", "/nowhere", folder] {
                let lead_to = places(folder, here).lead(data);
                assert_eq!(lead_to, Path::new(lead), "{what}, from {here}");
            }
        }
        let image = ConfigFolders {
            home: Some(PathBuf::from("/forebay")),
            ..places("/etc/forebay", "/")
        };
        assert_eq!(image.lead(data), Path::new("/forebay/data/forebay.db"));
        let plain = places("/srv/data", "/").lead(Path::new("./forebay.db"));
        assert_eq!(plain, Path::new("/srv/data/forebay.db"));
        let absolute = places("/srv/conf", "/").lead(Path::new("/x/forebay.db"));
        assert_eq!(absolute, Path::new("/x/forebay.db"));
    }

    #[test]
    fn what_stands_somewhere_already_is_used_there_and_a_second_one_is_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let (conf, here) = (root.join("conf"), root.join("here"));
        let places = ConfigFolders {
            home: None,
            folder: conf.clone(),
            here: here.clone(),
        };
        let path = Path::new("data/forebay.db");
        let mut stands = Vec::new();
        // The last of them first: each that is nearer to the rule then takes its place.
        for folder in [&here, &conf, &root.to_path_buf()] {
            fs::create_dir_all(folder.join("data")).unwrap();
            fs::write(folder.join(path), "").unwrap();
            stands.insert(0, folder.join(path));
            assert_eq!(places.lead(path), stands[0]);
            assert_eq!(places.others(path), stands[1..]);
        }
    }

    #[test]
    fn a_configuration_is_placed_by_its_own_path() {
        let here = std::env::current_dir().unwrap();
        let folder = |path: &str| ConfigFolders::of(Path::new(path)).folder;
        assert_eq!(folder("conf/pingora.yaml"), here.join("conf"));
        assert_eq!(folder("pingora.yaml"), here);
        assert_eq!(
            folder("/etc/forebay/pingora.yaml"),
            Path::new("/etc/forebay")
        );
    }
}
