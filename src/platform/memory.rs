//! What memory this process takes.

/// Resident memory of this process, MB, where the system tells.
pub fn resident_mb() -> Option<f64> {
    of_status("VmRSS:")
}

/// The most that it ever was.
pub fn peak_mb() -> Option<f64> {
    of_status("VmHWM:")
}

/// A line of `/proc/self/status`, in KiB there (Linux, proc_pid_status(5)).
fn of_status(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1_024.0)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_both() {
        let (resident_mb, peak_mb) = (super::resident_mb().unwrap(), super::peak_mb().unwrap());
        assert!(resident_mb > 0.5 && peak_mb > 0.5, "{resident_mb} {peak_mb}");
    }
}
