//! What a report costs: wall time, peak resident memory and the size of what is written, for a day of steady load
//! (see [`day`]) and for ten runs of a tenth each. Writes the run directories, then has fresh processes of this program
//! report on them, so that writing them does not count. Beside each time stands that of only reading the bytes.
//!
//! `cargo bench --bench report -- [HOURS]`, 24 unless told otherwise: 270 MB in the system's folder for temporary files.
//! `-- read DIR...` reports on any run directory, `-- write DIR HOURS` makes one. Fails when a whole day takes longer than the goal.

mod day;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamgauge::platform::clock::Clock;
use streamgauge::session::publish::publish;

/// Goals: a day of data, and the ten runs of a week.
const DAY_MAX_S: f64 = 3.0;
const TEN_MAX_S: f64 = 5.0;
const RUNS: u64 = 10;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["read", ref dirs @ ..] if !dirs.is_empty() => read(dirs),
        ["write", dir, hours] => drop(day::write(Path::new(dir), 0, seconds(hours))),
        [] => measure(24 * 3_600),
        [hours] => measure(seconds(hours)),
        _ => panic!("expected [HOURS], `read DIR...` or `write DIR HOURS`"),
    }
}

fn seconds(hours: &str) -> u64 {
    (hours.parse::<f64>().expect("a number of hours") * 3_600.0) as u64
}

fn measure(load_s: u64) {
    let root = tempfile::tempdir().expect("a folder");
    let whole = day::write(root.path(), 0, load_s);
    let took = in_a_process(&[whole]);
    let tenths: Vec<PathBuf> = (1..=RUNS).map(|run| day::write(root.path(), run, load_s / RUNS)).collect();
    let ten_took = in_a_process(&tenths);
    if load_s == 24 * 3_600 {
        assert!(took <= DAY_MAX_S, "a day of data took {took:.2} s: more than {DAY_MAX_S} s");
        assert!(ten_took <= TEN_MAX_S, "ten runs took {ten_took:.2} s: more than {TEN_MAX_S} s");
    }
}

/// Seconds that a process of its own takes for the reports of `dirs`.
fn in_a_process(dirs: &[PathBuf]) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program).arg("read").args(dirs).output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    std::io::stdout().flush().expect("stdout");
    assert!(output.status.success(), "see above");
    let took = text.lines().find_map(|line| line.strip_prefix(TOOK)?.split(' ').next()?.parse().ok());
    took.expect("the time, as `read` prints it")
}

const TOOK: &str = "report ";

fn read(dirs: &[&str]) {
    let clock = Clock::starting_at(0);
    let started = clock.instant();
    let bytes: u64 = dirs.iter().map(|dir| read_bytes(Path::new(dir))).sum();
    let for_bytes = clock.instant() - started;

    let started = clock.instant();
    let published: Vec<_> = dirs.iter().map(|dir| publish(Path::new(dir)).expect("a report")).collect();
    let took: Duration = clock.instant() - started;
    let peak_mb = peak_mb();

    let records: u64 =
        published.iter().filter_map(|one| one.model.delivery.as_ref()).map(|one| one.delivered).sum();
    let ratio = took.as_secs_f64() / for_bytes.as_secs_f64();
    let rate = records as f64 / took.as_secs_f64();
    println!("{} run(s), {records} records, {:.0} MB", dirs.len(), bytes as f64 / 1e6);
    println!("{TOOK}{:.2} s: {rate:.0} records/s, {ratio:.0} times reading the bytes", took.as_secs_f64());
    println!("peak resident memory {peak_mb:.0} MB");
    for path in &published[0].files {
        let kb = std::fs::metadata(path).expect("written").len() as f64 / 1e3;
        println!("  {:<12} {kb:.0} kB", path.file_name().unwrap_or_default().to_string_lossy());
    }
}

/// Reads every file of a folder, as the loader does in parts, and tells how many bytes they have.
fn read_bytes(dir: &Path) -> u64 {
    let mut buffer = vec![0; 1 << 16];
    let mut whole = 0;
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let Ok(mut file) = std::fs::File::open(entry.path()) else { continue };
        while let Ok(read @ 1..) = std::io::Read::read(&mut file, &mut buffer) {
            whole += read as u64;
        }
    }
    whole
}

/// Of this process; 0 where the system does not tell.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}
