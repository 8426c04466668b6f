//! What the machine gives us: memory and files, and what we may hold of it.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::quantity::size_text;
use crate::config::settings::Settings;
use crate::domain::caps::Caps;

/// Files that are no connection of a client and no call: the registry, listeners, probes, the nodes'
/// sockets, and connections to nodes that wait for the next call.
const OWN_FILES: u64 = 256;
/// Where nobody says how much there is.
const MEMORY_UNKNOWN: u64 = 2 << 30;

/// What may be held, by memory and by files. What doesn't suffice for the settings is said.
pub fn caps(settings: &Settings) -> Caps {
    let memory = settings.limits.memory.unwrap_or_else(memory);
    let files = raise_files();
    let caps = Caps::of(memory).with_files(files.saturating_sub(OWN_FILES));
    log::info!(
        "{} of memory and {files} files: {} connections and {} requests at once, {} of their bodies",
        size_text(memory),
        caps.connections,
        caps.requests,
        size_text(caps.bodies as u64)
    );
    if files < OWN_FILES + Caps::of(memory).files() {
        log::warn!(
            "{files} files may be open, fewer than memory has room for: raise the limit (`ulimit -n`, `LimitNOFILE=`) to {}",
            OWN_FILES + Caps::of(memory).files()
        );
    }
    if settings.sockets.sockets_max > caps.sockets {
        log::info!(
            "there is room for {} of {} sockets (forebay.sockets.sockets_max)",
            caps.sockets,
            settings.sockets.sockets_max
        );
    }
    caps
}

/// Raises the soft limit of open files to the hard one; how many may be open.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(why) => {
            log::warn!("the limit of open files can't be raised: {why}");
            limit.current
        }
    };
    now.unwrap_or(u64::MAX)
}

/// Of the machine, or of our control group if that is less, in bytes.
fn memory() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total_of);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group_memory(Path::new("/sys/fs/cgroup"), &groups);
    let known = [machine, group].into_iter().flatten().min();
    known.unwrap_or(MEMORY_UNKNOWN)
}

/// `MemTotal` of /proc/meminfo.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least of the limits of our group and of those it is in, by either version.
fn group_memory(root: &Path, groups: &str) -> Option<u64> {
    let lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let limits = lines.flat_map(|(controllers, group)| {
        let is_memory = controllers
            .split(',')
            .any(|controller| controller == "memory");
        let (root, file) = match (controllers, is_memory) {
            ("", _) => (root.to_path_buf(), "memory.max"),
            (_, true) => (root.join("memory"), "memory.limit_in_bytes"),
            (_, false) => return Vec::new(),
        };
        // In a container the group's path may be one that only the host sees: its root is ours.
        let own = root.join(group.trim_start_matches('/'));
        let all = own.ancestors().take_while(|path| path.starts_with(&root));
        let limit = |path: &Path| {
            fs::read_to_string(path.join(file))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        all.filter_map(limit).collect::<Vec<u64>>()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(
            total_of("MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert!(memory() > 1 << 20);
    }

    #[test]
    fn the_least_limit_on_the_way_to_our_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let group = "0::/system.slice/forebay.service\n";
        assert_eq!(group_memory(root, group), None);
        write("system.slice/forebay.service/memory.max", "max\n");
        assert_eq!(group_memory(root, group), None, "no limit");
        write("system.slice/memory.max", "268435456\n");
        assert_eq!(group_memory(root, group), Some(256 << 20));
        write("system.slice/forebay.service/memory.max", "67108864\n");
        assert_eq!(group_memory(root, group), Some(64 << 20));
        // What only the host sees of a container's group.
        write("memory.max", "1000000\n");
        assert_eq!(
            group_memory(root, "0::/../../docker/abc\n"),
            Some(1_000_000)
        );
        write("memory/a/memory.limit_in_bytes", "5000000\n");
        let first = "5:cpu,cpuacct:/a\n4:memory:/a\n";
        assert_eq!(group_memory(root, first), Some(5_000_000));
    }
}
