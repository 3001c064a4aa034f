//! What the generator runs on.

/// System, architecture and processors.
pub(super) fn name() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} {}, {cpus} cpus", std::env::consts::OS, std::env::consts::ARCH)
}

/// Peak resident memory of this process, MB, where the system tells.
pub(super) fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1_024.0)
}
