//! What the machine gives us: memory and files, and what we may hold of it.

use std::fs;
use std::path::Path;

use log::Level;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;

use crate::config::quantity::size_text;
use crate::config::settings::{CallSettings, Settings, SocketSettings};
use forebay_core::vocabulary::caps::{CapInputs, CapShortage, Caps, lacks};

/// Where the system doesn't say how much there is.
const MEMORY_UNKNOWN: u64 = 2 << 30;

/// From here on memory is taken by small pages alone. By large ones, for which the allocator asks, the system gives
/// 2 MiB where some bytes are touched, and half of what the process holds is used by nothing; calls are no
/// cheaper with them.
pub fn take_small_pages() {
    // A system that doesn't know of it has none.
    let _ = disable_transparent_huge_pages(true);
}

/// What may be held, by memory and by files. What doesn't suffice for the settings is said.
pub fn caps(settings: &Settings) -> Caps {
    let (there, files) = (memory(), raise_files());
    let memory = settings.limits.memory.unwrap_or(there);
    let caps = Caps::with_cache(memory, settings.cache.memory).with_files(files);
    log::info!(
        "{} of memory and {files} files: {} connections and {} requests at once, {} of their bodies; \
         {} of answers are kept",
        size_text(memory),
        caps.connections,
        caps.requests,
        size_text(caps.bodies as u64),
        about(caps.cache)
    );
    if let Some(wanted) = settings.cache.memory.filter(|wanted| *wanted > caps.cache) {
        log::warn!(
            "memory has room for {} of kept answers, not for the {} of forebay.cache.memory",
            about(caps.cache),
            about(wanted)
        );
    }
    let inputs = CapInputs {
        memory: settings.limits.memory,
        body_max: settings.calls.body_bytes_max,
        sockets: settings.sockets.sockets_max,
    };
    for lack in lacks(inputs, there, files) {
        log::log!(level_of(lack), "{}", in_words(lack));
    }
    caps
}

/// A default that shrinks is no mistake of an operator's.
fn level_of(lack: CapShortage) -> Level {
    let is_default = match lack {
        CapShortage::Body { wanted, .. } => wanted == CallSettings::default().body_bytes_max,
        CapShortage::Sockets { wanted, .. } => wanted == SocketSettings::default().sockets_max,
        CapShortage::Room { .. } | CapShortage::Memory { .. } | CapShortage::Files { .. } => false,
    };
    if is_default { Level::Info } else { Level::Warn }
}

fn in_words(lack: CapShortage) -> String {
    match lack {
        CapShortage::Room { there, least } => format!(
            "there are {} of memory, and {} is the least that we do with",
            about(there),
            about(least)
        ),
        CapShortage::Memory { there, wanted } => format!(
            "there are {} of memory, less than the {} that forebay.limits.memory says: what is held \
             may be more than there is",
            about(there),
            about(wanted)
        ),
        CapShortage::Body { room, wanted } => format!(
            "memory has room for bodies of {}, not for the {} of forebay.calls.body_bytes_max",
            about(room as u64),
            about(wanted as u64)
        ),
        CapShortage::Sockets { room, wanted } => {
            format!("there is room for {room} of {wanted} sockets (forebay.sockets.sockets_max)")
        }
        CapShortage::Files { there, wanted } => format!(
            "{there} files may be open, fewer than memory has room for: raise the limit (`ulimit -n`, \
             `LimitNOFILE=`) to {wanted}"
        ),
    }
}

/// To a tenth: single bytes don't matter here.
fn about(bytes: u64) -> String {
    const MIB: f64 = (1_u64 << 20) as f64;
    let mebibytes = bytes as f64 / MIB;
    if mebibytes < 1024.0 {
        format!("{mebibytes:.1} MiB")
    } else {
        format!("{:.1} GiB", mebibytes / 1024.0)
    }
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
    fn what_is_lacking_is_said_and_a_default_that_shrinks_in_passing() {
        let settings = Settings::default();
        let of = |body_max, memory| {
            let inputs = CapInputs {
                memory: None,
                body_max,
                sockets: 1,
            };
            let lack = lacks(inputs, memory, u64::MAX)[0];
            (level_of(lack), in_words(lack))
        };
        let (level, said) = of(settings.calls.body_bytes_max, 64 << 20);
        assert_eq!(level, Level::Info);
        assert_eq!(
            said,
            "memory has room for bodies of 1.6 MiB, not for the 5.0 MiB of forebay.calls.body_bytes_max"
        );
        assert_eq!(of(8 << 20, 64 << 20).0, Level::Warn);
        let (level, said) = of(1, 32 << 20);
        assert_eq!(level, Level::Warn);
        assert_eq!(
            said,
            "there are 32.0 MiB of memory, and 64.0 MiB is the least that we do with"
        );
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
