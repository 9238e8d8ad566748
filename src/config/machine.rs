//! What the machine gives this process: part of its environment, like the variables.

use std::{fs, path::Path};

/// Memory, in KiB: that of the machine, or of the tightest cgroup that holds this process (cgroup v2).
#[must_use]
pub fn memory_kib() -> Option<u64> {
    let total = fs::read_to_string("/proc/meminfo").ok()?;
    let total = total.lines().find_map(|line| {
        let value = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        value.trim().parse().ok()
    })?;
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = cgroups
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or_default();
    let limits = Path::new(own).ancestors().filter_map(|group| {
        let limit = Path::new("/sys/fs/cgroup").join(group).join("memory.max");
        fs::read_to_string(limit).ok()?.trim().parse::<u64>().ok()
    });
    Some(limits.map(|bytes| bytes / 1024).fold(total, u64::min))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_machine_has_memory() {
        let kib = super::memory_kib().unwrap();
        assert!(
            (64 * 1024..64 * 1024 * 1024 * 1024).contains(&kib),
            "{kib} KiB"
        );
    }
}
