//! Deployment packages on disk: each is unpacked once and removed with its last user.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::local::lambda::host::Code;

/// Bytes of an unpacked package. Lambda developer guide, "Lambda quotas": 250 MB.
pub const UNZIPPED_MAX_BYTES: u64 = 250 * 1_024 * 1_024;

/// An unpacked package. The directory goes when the last user drops it.
pub struct CodeDir {
    dir: tempfile::TempDir,
}

impl CodeDir {
    /// What the function sees as `LAMBDA_TASK_ROOT`.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

type Unpacking = Arc<OnceCell<Arc<CodeDir>>>;

/// The packages of all functions of a host.
#[derive(Default)]
pub struct Codes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_sha256: BTreeMap<String, Unpacking>,
    /// Which package each function (by ARN) used last.
    of_function: BTreeMap<String, String>,
}

impl Codes {
    /// The unpacked package, unpacking it under `root` when this is its first use.
    pub async fn get(&self, arn: &str, code: &Code, root: &Path) -> io::Result<Arc<CodeDir>> {
        let unpacking = {
            let mut state = self.state.lock().expect("codes lock");
            state.of_function.insert(arn.to_owned(), code.sha256_hex.clone());
            state.by_sha256.entry(code.sha256_hex.clone()).or_default().clone()
        };
        let dir = unpacking.get_or_try_init(|| unpack(code.zip.clone(), root.to_owned())).await?;
        Ok(dir.clone())
    }

    /// Forgets the package of a function unless another one uses it too. Sandboxes that still run keep it.
    pub fn release(&self, arn: &str) {
        let mut state = self.state.lock().expect("codes lock");
        if let Some(sha256) = state.of_function.remove(arn)
            && !state.of_function.values().any(|other| *other == sha256)
        {
            state.by_sha256.remove(&sha256);
        }
    }

    pub fn clear(&self) {
        *self.state.lock().expect("codes lock") = State::default();
    }
}

async fn unpack(zip: Bytes, root: PathBuf) -> io::Result<Arc<CodeDir>> {
    let unpacked = tokio::task::spawn_blocking(move || {
        let dir = tempfile::Builder::new().prefix("code-").tempdir_in(root)?;
        extract(&zip, dir.path())?;
        Ok(Arc::new(CodeDir { dir }))
    });
    unpacked.await.map_err(io::Error::other)?
}

fn extract(zip: &[u8], into: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(zip)).map_err(io::Error::other)?;
    let mut left = UNZIPPED_MAX_BYTES;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(io::Error::other)?;
        // A name that leads out of the directory is refused, not followed.
        let name =
            entry.enclosed_name().ok_or_else(|| io::Error::other("a path leads out of the package"))?;
        let path = into.join(&name);
        if entry.is_dir() {
            fs_err::create_dir_all(&path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mode = entry.unix_mode();
        let mut file = fs_err::File::create(&path)?;
        left = left.saturating_sub(io::copy(&mut entry.by_ref().take(left + 1), &mut file)?);
        if left == 0 {
            return Err(io::Error::other("the unpacked package is larger than 250 MB"));
        }
        set_mode(&path, mode)?;
    }
    Ok(())
}

/// The mode from the archive; an archive without modes (made on Windows) still gets a runnable bootstrap.
#[cfg(unix)]
fn set_mode(path: &Path, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = mode.map_or(0o755, |mode| mode & 0o777);
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o400))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: Option<u32>) -> io::Result<()> {
    Ok(())
}
