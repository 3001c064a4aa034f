//! The function's zip: found or made, checked before anything is deployed.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::elf;
use crate::plan::Architecture;

/// Bytes of a function's code, unzipped, layers included. Lambda developer guide, "Lambda quotas".
pub const UNZIPPED_MAX_BYTES: u64 = 250 * 1_048_576;
/// Name of the executable that `provided.al2023` starts. Lambda developer guide, "OS-only runtimes".
const BOOTSTRAP: &str = "bootstrap";
/// Of `provided.al2023`: Amazon Linux 2023 has version 2.34 for all of its life. Amazon Linux 2023 user guide,
/// "Comparing Amazon Linux 2 and AL2023".
const GLIBC_OF_LAMBDA: (u32, u32) = (2, 34);
/// Fast: the zip is uploaded once, and on loopback at that.
const DEFLATE_LEVEL: i64 = 1;

/// A checked zip with an executable `bootstrap` inside.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub zip: Bytes,
    /// Of the zip, hex.
    pub sha256: String,
    /// From the ELF header of `bootstrap`; `None` when it is not an ELF file of a known machine (a
    /// script, or an executable of a system other than Linux: good for the local target on that system).
    pub architecture: Option<Architecture>,
    /// Newest GNU C library that `bootstrap` needs; `None` for what is no dynamic ELF file.
    pub glibc: Option<(u32, u32)>,
    pub is_script: bool,
    /// The file it came from.
    pub source: PathBuf,
    pub unzipped_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{} is not a zip file: {detail}", path.display())]
    NotAZip { path: PathBuf, detail: String },
    #[error("{} has no file `bootstrap` at its top level", path.display())]
    NoBootstrap { path: PathBuf },
    #[error("`bootstrap` in {} is not executable (mode {mode:o})", path.display())]
    NotExecutable { path: PathBuf, mode: u32 },
    #[error("the function's code from {} is {bytes} bytes unzipped; Lambda takes {UNZIPPED_MAX_BYTES}", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("`bootstrap` from {} needs version {}.{} of the GNU C library; Lambda has {}.{}", path.display(), needed.0, needed.1, GLIBC_OF_LAMBDA.0, GLIBC_OF_LAMBDA.1)]
    NewerGlibc { path: PathBuf, needed: (u32, u32) },
    #[error("`bootstrap` from {} is neither a script nor a Linux executable for x86-64 or arm64", path.display())]
    NotForLambda { path: PathBuf },
    #[error("cannot pack {}: {detail}", path.display())]
    Packing { path: PathBuf, detail: String },
}

impl ArtifactError {
    /// One line of what to do.
    pub fn hint(&self) -> String {
        match self {
            ArtifactError::Unreadable { .. } => "pass a readable file with --function-zip".into(),
            ArtifactError::NotAZip { .. } | ArtifactError::NoBootstrap { .. } => {
                "pack the executable under the name bootstrap: zip function.zip bootstrap".into()
            }
            ArtifactError::NotExecutable { .. } => "chmod 755 bootstrap, then zip it again".into(),
            ArtifactError::TooLarge { .. } => {
                "build the slim consumer: cargo build --release --no-default-features --features consumer --bin consumer"
                    .into()
            }
            ArtifactError::NewerGlibc { .. } | ArtifactError::NotForLambda { .. } => {
                "build the consumer for Lambda (docs/install.md), and pass its zip with --function-zip".into()
            }
            ArtifactError::Packing { .. } => "pass a ready zip with --function-zip".into(),
        }
    }
}

impl Artifact {
    /// The zip that was given; else an executable `consumer` beside `current_exe`; else `current_exe`,
    /// which is its own bootstrap.
    ///
    /// # Errors
    /// When the file cannot be read, is no usable zip, or is too large for Lambda.
    pub fn find(function_zip: Option<&Path>, current_exe: &Path) -> Result<Artifact, ArtifactError> {
        if let Some(zip) = function_zip {
            return Artifact::from_zip(zip);
        }
        let consumer = current_exe.with_file_name("consumer");
        match is_executable(&consumer) {
            true => Artifact::from_executable(&consumer),
            false => Artifact::from_executable(current_exe),
        }
    }

    /// Checks a zip and takes it as it is.
    pub fn from_zip(path: &Path) -> Result<Artifact, ArtifactError> {
        let zip = Bytes::from(read(path)?);
        let not_a_zip = |error: zip::result::ZipError| ArtifactError::NotAZip {
            path: path.into(),
            detail: error.to_string(),
        };
        let mut archive = ZipArchive::new(Cursor::new(zip.clone())).map_err(not_a_zip)?;
        let mut unzipped_bytes = 0;
        for index in 0..archive.len() {
            unzipped_bytes += archive.by_index(index).map_err(not_a_zip)?.size();
        }
        let mut bootstrap = match archive.by_name(BOOTSTRAP) {
            Ok(file) => file,
            Err(_) => return Err(ArtifactError::NoBootstrap { path: path.into() }),
        };
        // A zip made on Windows has no modes; Lambda then takes the file as executable.
        if let Some(mode) = bootstrap.unix_mode()
            && mode & 0o111 == 0
        {
            return Err(ArtifactError::NotExecutable { path: path.into(), mode: mode & 0o7777 });
        }
        let mut executable = Vec::new();
        let mut bounded = (&mut bootstrap).take(UNZIPPED_MAX_BYTES);
        bounded.read_to_end(&mut executable).map_err(|error| unreadable(path, error))?;
        drop(bootstrap);
        drop(archive);
        Artifact::checked(path, zip, &executable, unzipped_bytes)
    }

    /// Packs an executable as `bootstrap`. The same executable gives the same bytes.
    pub fn from_executable(path: &Path) -> Result<Artifact, ArtifactError> {
        let executable = read(path)?;
        let unzipped_bytes = executable.len() as u64;
        if unzipped_bytes > UNZIPPED_MAX_BYTES {
            return Err(ArtifactError::TooLarge { path: path.into(), bytes: unzipped_bytes });
        }
        let zip = pack(&executable)
            .map_err(|error| ArtifactError::Packing { path: path.into(), detail: error.to_string() })?;
        Artifact::checked(path, Bytes::from(zip), &executable, unzipped_bytes)
    }

    /// What stands in for the code of a function that is modelled, on whatever machine: nothing runs it.
    ///
    /// # Errors
    /// When it cannot be packed.
    pub fn stand_in(architecture: Architecture) -> Result<Artifact, ArtifactError> {
        let (path, script) = (Path::new("a modelled function"), b"#!/bin/sh\n");
        let zip = pack(script)
            .map_err(|error| ArtifactError::Packing { path: path.into(), detail: error.to_string() })?;
        let checked = Artifact::checked(path, Bytes::from(zip), script, script.len() as u64)?;
        Ok(Artifact { architecture: Some(architecture), ..checked })
    }

    fn checked(
        path: &Path,
        zip: Bytes,
        executable: &[u8],
        unzipped_bytes: u64,
    ) -> Result<Artifact, ArtifactError> {
        if unzipped_bytes > UNZIPPED_MAX_BYTES {
            return Err(ArtifactError::TooLarge { path: path.into(), bytes: unzipped_bytes });
        }
        let sha256 = hex::encode(Sha256::digest(&zip));
        let (architecture, glibc) = (elf::architecture(executable), elf::glibc_needed(executable));
        let is_script = executable.starts_with(b"#!");
        Ok(Artifact { zip, sha256, architecture, glibc, is_script, source: path.into(), unzipped_bytes })
    }

    /// Whether Lambda can run it; on this machine anything runs that runs here.
    ///
    /// # Errors
    /// When it is no executable of Linux, or needs a newer C library than Lambda has.
    pub fn check_for_lambda(&self) -> Result<(), ArtifactError> {
        let path = self.source.clone();
        match self.glibc {
            Some(needed) if needed > GLIBC_OF_LAMBDA => Err(ArtifactError::NewerGlibc { path, needed }),
            _ if self.architecture.is_none() && !self.is_script => Err(ArtifactError::NotForLambda { path }),
            _ => Ok(()),
        }
    }
}

fn pack(executable: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(DEFLATE_LEVEL))
        // The zip format's own epoch: the file's time would change the bytes, and with them the key.
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(BOOTSTRAP, options)?;
    writer.write_all(executable)?;
    Ok(writer.finish()?.into_inner())
}

fn read(path: &Path) -> Result<Vec<u8>, ArtifactError> {
    fs_err::read(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> ArtifactError {
    ArtifactError::Unreadable { path: path.into(), error }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(18, 0);
        file.extend(machine.to_le_bytes());
        file.extend([7; 5_000]);
        file
    }

    fn zip_of(name: &str, mode: u32) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        writer.write_all(&elf(183)).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn an_executable_is_packed_the_same_each_time_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let exe = dir.path().join("streamgauge");
        fs_err::write(&exe, elf(62)).unwrap();
        let first = Artifact::find(None, &exe).unwrap();
        assert_eq!(first.architecture, Some(Architecture::X86_64));
        assert_eq!(first.unzipped_bytes, 5_020);
        assert_eq!(first.sha256, Artifact::from_executable(&exe).unwrap().sha256);

        let zip = dir.path().join("function.zip");
        fs_err::write(&zip, &first.zip).unwrap();
        let read = Artifact::find(Some(&zip), &exe).unwrap();
        assert_eq!((read.sha256, read.architecture), (first.sha256, first.architecture));
        let mut archive = ZipArchive::new(Cursor::new(first.zip)).unwrap();
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content, elf(62));
    }

    #[cfg(unix)]
    #[test]
    fn an_executable_consumer_beside_the_program_is_preferred() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (exe, consumer) = (dir.path().join("streamgauge"), dir.path().join("consumer"));
        fs_err::write(&exe, elf(62)).unwrap();
        fs_err::write(&consumer, elf(183)).unwrap();
        let mode = |mode| fs_err::set_permissions(&consumer, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(Artifact::find(None, &exe).unwrap().source, exe);
        mode(0o755);
        assert_eq!(Artifact::find(None, &exe).unwrap().source, consumer);
    }

    #[test]
    fn unusable_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.zip");
        let find = |content: Vec<u8>| {
            fs_err::write(&path, content).unwrap();
            Artifact::from_zip(&path)
        };
        assert!(matches!(find(b"hello".to_vec()), Err(ArtifactError::NotAZip { .. })));
        assert!(matches!(find(zip_of("main", 0o755)), Err(ArtifactError::NoBootstrap { .. })));
        assert!(matches!(
            find(zip_of("bootstrap", 0o644)),
            Err(ArtifactError::NotExecutable { mode: 0o644, .. })
        ));
        assert_eq!(find(zip_of("bootstrap", 0o755)).unwrap().architecture, Some(Architecture::Arm64));
        let missing = Artifact::from_zip(&dir.path().join("gone"));
        assert!(matches!(missing, Err(ArtifactError::Unreadable { .. })));
    }

    #[test]
    fn what_lambda_cannot_run_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let exe = dir.path().join("bootstrap");
        let of = |content: &[u8]| {
            fs_err::write(&exe, content).unwrap();
            Artifact::from_executable(&exe).unwrap()
        };
        assert!(of(b"#!/usr/bin/python3\n").check_for_lambda().is_ok());
        assert!(of(&elf(62)).check_for_lambda().is_ok());
        let foreign = of(b"\xcf\xfa\xed\xfe of another system").check_for_lambda().unwrap_err();
        assert!(matches!(foreign, ArtifactError::NotForLambda { .. }), "{foreign}");
        let newer = Artifact { glibc: Some((2, 38)), ..of(&elf(62)) };
        let error = newer.check_for_lambda().unwrap_err();
        assert!(
            error.to_string().contains("needs version 2.38 of the GNU C library; Lambda has 2.34"),
            "{error}"
        );
        assert!(error.hint().contains("docs/install.md"));
        assert!(Artifact { glibc: Some((2, 34)), ..newer }.check_for_lambda().is_ok());
    }
}
