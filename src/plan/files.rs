//! Files that a plan names: a rate series, templates, records to replay. This room stays without files of its
//! own: whoever parses the plan hands in the means to read one. What was read is part of the plan: it goes into
//! the plan's hash and into the run directory, so that a report needs nothing from outside.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::errors::{PlanError, quoted};
use super::model::{Plan, Position};
use super::resolve::{Place, Resolver};

/// Longest name of a file, in characters: as long as a path may be on Linux, less the plan's folder.
const NAME_MAX_CHARS: usize = 1_024;

/// Reads the files that a plan names.
pub trait ReadFile {
    /// The whole content of the file that the plan calls `name` (a path relative to the plan's folder), or why it
    /// cannot be had. A file of more than `max_bytes` is not read: its answer has one byte more than that.
    fn read(&self, name: &str, max_bytes: usize) -> Result<Bytes, String>;
}

/// For plans that come without a place: every file is missing.
pub struct NoFiles;

impl ReadFile for NoFiles {
    fn read(&self, _: &str, _: usize) -> Result<Bytes, String> {
        Err("a plan that is read by itself has no files beside it".to_owned())
    }
}

impl ReadFile for BTreeMap<String, Bytes> {
    /// As if the map's keys were the names of files.
    fn read(&self, name: &str, _: usize) -> Result<Bytes, String> {
        self.get(name).cloned().ok_or_else(|| "there is no such file".to_owned())
    }
}

/// One file as it was when the plan was read. Cloning shares the content.
#[derive(Clone, PartialEq, Eq)]
pub struct PlanFile {
    pub content: Bytes,
    /// SHA-256 of the content, hex.
    pub sha256: String,
}

impl PlanFile {
    pub fn new(content: Bytes) -> PlanFile {
        let sha256 = hex::encode(Sha256::digest(&content));
        PlanFile { content, sha256 }
    }
}

/// Without the content, which may have megabytes.
impl fmt::Debug for PlanFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, sha256 {}", self.content.len(), self.sha256)
    }
}

impl Plan {
    /// SHA-256 of each file that the plan names, hex, by the name that it has for it.
    pub fn file_hashes(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(name, file)| (name.clone(), file.sha256.clone())).collect()
    }
}

/// The files of a plan that is being resolved, by the names that the plan has for them.
pub(super) struct Files<'r> {
    pub reader: &'r dyn ReadFile,
    pub found: BTreeMap<String, PlanFile>,
}

impl<'r> Files<'r> {
    pub fn new(reader: &'r dyn ReadFile) -> Files<'r> {
        Files { reader, found: BTreeMap::new() }
    }
}

impl Resolver<'_> {
    /// The content of the file that is named here; `None` when that was reported as wrong. A file that is named
    /// twice is read once.
    pub(super) fn file(&mut self, name: &str, at: &Place<'_>, max_bytes: usize) -> Option<Bytes> {
        if name.trim().is_empty() || name.chars().count() > NAME_MAX_CHARS || name.contains('\0') {
            self.wrong(at, quoted(name), "the path of a file, relative to the plan");
            return None;
        }
        if let Some(file) = self.files.found.get(name) {
            return self.within(name, file.content.clone(), at, max_bytes);
        }
        match self.files.reader.read(name, max_bytes) {
            Ok(content) => {
                let content = self.within(name, content, at, max_bytes)?;
                self.files.found.insert(name.to_owned(), PlanFile::new(content.clone()));
                Some(content)
            }
            Err(why) => {
                let found = format!("the file {}: {why}", quoted(name));
                self.wrong(at, found, "a file that can be read, its path relative to the plan");
                None
            }
        }
    }

    fn within(&mut self, name: &str, content: Bytes, at: &Place<'_>, max_bytes: usize) -> Option<Bytes> {
        if content.len() <= max_bytes {
            return Some(content);
        }
        let found = format!("the file {} with more than {max_bytes} bytes", quoted(name));
        self.wrong(at, found, format!("a file of at most {max_bytes} bytes"));
        None
    }

    /// The content of the file `name` as text; `None` when it is not UTF-8, which is then reported.
    pub(super) fn text_of<'c>(&mut self, name: &str, content: &'c Bytes) -> Option<&'c str> {
        match std::str::from_utf8(content) {
            // A byte order mark is no content, and no column either.
            Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(error) => {
                let error = super::not_utf8(content, error.valid_up_to());
                self.errors.push(PlanError { file: Some(name.to_owned()), ..error });
                None
            }
        }
    }

    /// Something inside a file is wrong: `position` is that in the file, `field` what it is called there.
    pub(super) fn wrong_in_file(
        &mut self,
        name: &str,
        position: Position,
        field: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let (found, expected) = (found.into(), expected.into());
        self.errors.push(PlanError {
            file: Some(name.to_owned()),
            position,
            field: field.to_owned(),
            found,
            expected,
        });
    }
}

/// SHA-256 of a plan's text, or, where it names files, of the text's and each file's, so that a change of any of
/// them is a change of the plan.
pub(super) fn hash(text: &str, files: &BTreeMap<String, PlanFile>) -> String {
    let of_text = Sha256::digest(text.as_bytes());
    if files.is_empty() {
        return hex::encode(of_text);
    }
    let mut whole = Sha256::new();
    whole.update(of_text);
    for (name, file) in files {
        whole.update(name.as_bytes());
        whole.update([0]);
        whole.update(file.sha256.as_bytes());
    }
    hex::encode(whole.finalize())
}
