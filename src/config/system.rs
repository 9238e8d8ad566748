//! The memory of this system.

use std::{fs, path::Path};

/// Returns the memory in KiB that this process may use: the memory of the system, or the smallest limit of its cgroups.
#[must_use]
pub fn memory_kib() -> Option<u64> {
    let total = fs::read_to_string("/proc/meminfo").ok()?;
    let total = total.lines().find_map(|line| {
        let value = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        value.trim().parse().ok()
    })?;
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = cgroups.lines().flat_map(limits);
    Some(limits.map(|bytes| bytes / 1024).fold(total, u64::min))
}

/// Returns the limits in bytes of a cgroup and its parents. A line is `ID:CONTROLLERS:/PATH` (cgroups(7)).
fn limits(line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (root, file) = match controllers {
        // Version 2 has one hierarchy for all controllers.
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let limit = |group| {
        let limit = Path::new(root).join(group).join(file);
        fs::read_to_string(limit).ok()?.trim().parse().ok()
    };
    groups.filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_of_this_system_is_plausible() {
        let kib = super::memory_kib().unwrap();
        assert!(
            (64 * 1024..64 * 1024 * 1024 * 1024).contains(&kib),
            "{kib} KiB"
        );
    }
}
