//! One process at a time works on an environment. The lock is the operating system's: it goes with the
//! process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::SessionError;

/// Held while a verb changes or loads an environment.
#[derive(Debug)]
pub struct EnvLock {
    _file: File,
}

impl EnvLock {
    /// Takes the lock of `env` under `root` (`.streamgauge`), or says who is in the way.
    pub fn take(root: &Path, env: &str) -> Result<EnvLock, SessionError> {
        let dir = root.join("envs");
        let unwritable = |error: std::io::Error| SessionError::Unwritable { path: dir.clone(), error };
        std::fs::create_dir_all(&dir).map_err(unwritable)?;
        let path = dir.join(format!("{env}.lock"));
        let file =
            File::options().create(true).write(true).truncate(false).open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(EnvLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(SessionError::Busy { env: env.to_owned() }),
            Err(TryLockError::Error(error)) => Err(SessionError::Unwritable { path, error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let first = EnvLock::take(root.path(), "a").unwrap();
        assert!(matches!(EnvLock::take(root.path(), "a"), Err(SessionError::Busy { .. })));
        assert!(EnvLock::take(root.path(), "b").is_ok());
        drop(first);
        assert!(EnvLock::take(root.path(), "a").is_ok());
    }
}
