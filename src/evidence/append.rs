//! Files that only grow: written in whole lines, synced at most once a wall second, and read back with a
//! torn last line dropped.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::EvidenceError;

/// The disk is asked to sync this often at most. In wall time even where the run's own clock is virtual:
/// it is the disk that must not be asked more often.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Lines that could not be written wait for the next try, up to this.
const BUFFER_MAX_BYTES: usize = 64 << 20;
/// A longer line is not ours.
const LINE_MAX_BYTES: u64 = 16 << 20;

pub struct AppendFile {
    path: PathBuf,
    file: File,
    /// Length of what is whole on disk: a failed write is cut back to it, so that no line is torn inside.
    good_bytes: u64,
    buffer: Vec<u8>,
    unsynced: bool,
    /// The last time that it was synced, or written by `write_if_due`.
    due_from: Option<Instant>,
}

impl AppendFile {
    /// Opens for appending, creating the file if it is not there. A torn last line is cut off.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<AppendFile, EvidenceError> {
        let io = || EvidenceError::io(path);
        let mut file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path).map_err(io())?;
        let good_bytes = whole_lines_bytes(path)?;
        file.set_len(good_bytes).map_err(io())?;
        file.seek(SeekFrom::Start(good_bytes)).map_err(io())?;
        Ok(AppendFile {
            path: path.to_owned(),
            file,
            good_bytes,
            buffer: Vec::new(),
            unsynced: false,
            due_from: None,
        })
    }

    /// Adds one line, which must not contain a line break; it reaches the disk with the next `write` or `sync`.
    pub fn line(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
    }

    /// Adds whole lines that already end in line breaks.
    pub fn lines(&mut self, text: &[u8]) {
        self.buffer.extend_from_slice(text);
    }

    /// Hands what was added to the operating system: it survives this process.
    ///
    /// # Errors
    /// The disk is full, for example. What was added is kept and tried again with the next call.
    pub fn write(&mut self) -> Result<(), EvidenceError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&self.buffer) {
            // Best effort: if cutting back fails too, the reader drops the torn line.
            let _ = self.file.set_len(self.good_bytes);
            let _ = self.file.seek(SeekFrom::Start(self.good_bytes));
            if self.buffer.len() > BUFFER_MAX_BYTES {
                self.buffer = Vec::new();
            }
            return Err(EvidenceError::Io { path: self.path.clone(), source });
        }
        self.good_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        self.unsynced = true;
        Ok(())
    }

    /// Forgets what was added and not yet written.
    pub fn discard(&mut self) {
        self.buffer.clear();
    }

    /// Writes, and syncs when the last sync is a second ago.
    ///
    /// # Errors
    /// As [`AppendFile::write`].
    pub fn sync_if_due(&mut self) -> Result<(), EvidenceError> {
        if self.is_due() { self.sync() } else { self.write() }
    }

    /// Writes when the last time is a wall second ago: for virtual time, whose seconds pass by the thousand.
    ///
    /// # Errors
    /// As [`AppendFile::write`].
    pub fn write_if_due(&mut self) -> Result<(), EvidenceError> {
        if self.is_due() { self.write() } else { Ok(()) }
    }

    #[expect(clippy::disallowed_methods, reason = "the disk lives in wall time, also under a virtual clock")]
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.due_from.is_none_or(|from| now.duration_since(from) >= SYNC_EVERY);
        if is_due {
            self.due_from = Some(now);
        }
        is_due
    }

    /// Writes and syncs: it survives the machine.
    ///
    /// # Errors
    /// As [`AppendFile::write`].
    pub fn sync(&mut self) -> Result<(), EvidenceError> {
        self.write()?;
        if self.unsynced {
            let file = &self.file;
            without_a_worker(|| file.sync_data()).map_err(EvidenceError::io(&self.path))?;
            self.unsynced = false;
        }
        Ok(())
    }
}

impl Drop for AppendFile {
    fn drop(&mut self) {
        // Whoever needs to know of a failure has called `sync`.
        let _ = self.write();
    }
}

/// Waits for the disk without holding up the tasks that share this thread: a sync can take hundreds of
/// milliseconds, and the generator must not be late for it. A runtime of one thread (tests in virtual time)
/// has nobody to hand them to.
fn without_a_worker<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn whole_lines_bytes(path: &Path) -> Result<u64, EvidenceError> {
    let mut bytes = 0;
    read_lines(path, |_, line| bytes += line.len() as u64 + 1)?;
    Ok(bytes)
}

/// Calls `each` with the offset and the bytes of every whole line. A missing file has none.
///
/// # Errors
/// The file cannot be read. Returns whether a torn last line was dropped.
pub fn read_lines(path: &Path, mut each: impl FnMut(u64, &[u8])) -> Result<bool, EvidenceError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(EvidenceError::io(path)(error)),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut offset, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = std::io::Read::take(&mut reader, LINE_MAX_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(EvidenceError::io(path))?;
        if read == 0 {
            return Ok(false);
        }
        if line.last() != Some(&b'\n') {
            return Ok(true);
        }
        each(offset, &line[..read - 1]);
        offset += read as u64;
    }
}

/// The note on lines of a format that is newer than this version.
pub(super) fn newer_format(name: &str, v: u32, known: u32) -> String {
    format!("{name}: lines of format {v} are left out; this version reads formats up to {known}")
}

/// Reads a file of JSON lines; lines that cannot be read become notes, as does a torn last line.
///
/// # Errors
/// The file cannot be read at all.
pub fn read_json_lines<T: serde::de::DeserializeOwned>(
    path: &Path,
    notes: &mut Vec<String>,
    mut each: impl FnMut(u64, T),
) -> Result<(), EvidenceError> {
    let mut unreadable = 0u64;
    let mut first_reason = String::new();
    let torn = read_lines(path, |offset, line| match serde_json::from_slice(line) {
        Ok(value) => each(offset, value),
        Err(error) => {
            if unreadable == 0 {
                first_reason = error.to_string();
            }
            unreadable += 1;
        }
    })?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    if unreadable > 0 {
        notes.push(format!("{name}: {unreadable} lines could not be read ({first_reason})"));
    }
    if torn {
        notes.push(format!("{name}: the last line was torn and is left out"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &Path) -> (Vec<String>, bool) {
        let mut texts = Vec::new();
        let torn = read_lines(path, |_, line| texts.push(String::from_utf8_lossy(line).into_owned()));
        (texts, torn.expect("readable"))
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_then_written_over() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("events.jsonl");
        assert_eq!(texts(&path), (vec![], false), "a missing file is empty");
        fs_err::write(&path, "{\"a\":1}\n{\"b\":").expect("write");
        assert_eq!(texts(&path), (vec!["{\"a\":1}".into()], true));

        let mut file = AppendFile::open(&path).expect("open");
        file.line("{\"c\":3}");
        file.sync().expect("sync");
        assert_eq!(texts(&path), (vec!["{\"a\":1}".into(), "{\"c\":3}".into()], false));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_itself() {
        let Ok(mut file) = AppendFile::open(Path::new("/dev/full")) else {
            return; // Not on this system.
        };
        file.line("{}");
        let error = file.write().expect_err("the disk is full");
        assert!(error.is_disk_full(), "{error}");
        assert!(error.hint().is_some());
        file.discard();
    }
}
