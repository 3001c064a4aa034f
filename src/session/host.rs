//! What the generator runs on.

/// System, architecture and processors.
pub(super) fn name() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} {}, {cpus} cpus", std::env::consts::OS, std::env::consts::ARCH)
}
