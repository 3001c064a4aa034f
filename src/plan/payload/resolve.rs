//! From the payload as typed to the payload as meant: names, sizes, and the files behind it.

use std::sync::Arc;

use super::doc::{FileDoc, PayloadDoc};
use super::place::{EnvelopePath, PATH_EXPECTED};
use super::replay::{REPLAY_MAX_BYTES, Replay};
use super::template::{TEMPLATE_MAX_BYTES, Template};
use super::{Custom, Fault, Payload, Source};
use crate::plan::model::{Environment, Position};
use crate::plan::resolve::{Place, Resolver};
use crate::plan::{PARTITION_KEY_BYTES, PAYLOAD_MIN_BYTES, units};

/// Paths of envelopes in a plan: the function looks at one after the other.
const PATHS_MAX: usize = 8;

/// Bytes of the largest record, without its partition key, that the stream takes.
fn record_max(environment: &Environment) -> usize {
    environment.stream.max_record_kib as usize * 1_024 - PARTITION_KEY_BYTES
}

/// Bytes of the longest envelope at a path, without a comma behind it: `"sg":{...}` has all of the smallest payload
/// but the braces.
fn envelope_bytes(path: &EnvelopePath) -> usize {
    PAYLOAD_MIN_BYTES - 2 - "sg".len() + path.member().len()
}

impl Resolver<'_> {
    /// The payload that stands here, if it can be read and the envelope fits.
    pub fn payload(
        &mut self,
        document: &PayloadDoc,
        environment: &Environment,
        at: &Place<'_>,
    ) -> Option<Payload> {
        let (at, read) = match document {
            PayloadDoc::Text(text) => (at.clone(), units::payload(text)),
            PayloadDoc::Bytes(bytes) => {
                let bytes = usize::try_from(*bytes).ok();
                (at.key("bytes"), bytes.map(|bytes| (units::payload_name(bytes), bytes)))
            }
            PayloadDoc::File(file) => return self.custom(file, environment, at),
        };
        match read {
            None => self.unexpected(&at, units::PAYLOAD_EXPECTED),
            Some((_, bytes)) if bytes < PAYLOAD_MIN_BYTES => {
                self.unexpected(&at, format!("at least {PAYLOAD_MIN_BYTES} bytes: the envelope must fit"));
            }
            Some((name, bytes)) => return Some(Payload::sized(name, bytes)),
        }
        None
    }

    /// Our own payloads are checked against the stream where they are used, the user's where they are read.
    pub fn payload_fits(&mut self, payload: &Payload, environment: &Environment, at: &Place<'_>) {
        let largest = record_max(environment);
        if payload.custom.is_none() && payload.bytes > largest {
            let expected = format!(
                "at most {largest} bytes (environment.stream.max_record_kib, less the {PARTITION_KEY_BYTES} of the partition key)"
            );
            self.wrong(at, format!("a payload of {} bytes", payload.bytes), expected);
        }
    }

    fn custom(&mut self, file: &FileDoc, environment: &Environment, at: &Place<'_>) -> Option<Payload> {
        let envelope = match file.envelope.as_deref().map(str::parse) {
            None => EnvelopePath::default(),
            Some(Ok(path)) => path,
            Some(Err(())) => {
                self.unexpected(&at.key("envelope"), PATH_EXPECTED);
                return None;
            }
        };
        let record_max = record_max(environment);
        match (&file.template, &file.replay) {
            (Some(name), None) => {
                let bytes = match file.bytes.map(usize::try_from) {
                    None => None,
                    Some(Ok(bytes)) if (PAYLOAD_MIN_BYTES..=record_max).contains(&bytes) => Some(bytes),
                    Some(_) => {
                        let expected = format!("{PAYLOAD_MIN_BYTES} to {record_max}");
                        self.unexpected(&at.key("bytes"), expected);
                        return None;
                    }
                };
                self.template(name, envelope, bytes, record_max, &at.key("template"))
            }
            (None, Some(name)) if file.bytes.is_none() => {
                self.replay(name, envelope, record_max, &at.key("replay"))
            }
            (None, Some(_)) => {
                self.unexpected(&at.key("bytes"), "no size: the records have their own");
                None
            }
            _ => {
                self.unexpected(at, "either template or replay");
                None
            }
        }
    }

    fn template(
        &mut self,
        name: &str,
        envelope: EnvelopePath,
        bytes: Option<usize>,
        record_max: usize,
        at: &Place<'_>,
    ) -> Option<Payload> {
        let content = self.file(name, at, TEMPLATE_MAX_BYTES)?;
        let text = self.text_of(name, &content)?;
        match Template::new(text, &envelope, bytes, envelope_bytes(&envelope), record_max) {
            Ok(template) => {
                let mean = template.sizes.mean();
                let custom = Arc::new(Custom { source: Source::Template(template), envelope });
                Some(Payload { name: format!("template {name}"), bytes: mean, custom: Some(custom) })
            }
            Err(faults) => {
                self.faults(name, text, "template", faults);
                None
            }
        }
    }

    fn replay(
        &mut self,
        name: &str,
        envelope: EnvelopePath,
        record_max: usize,
        at: &Place<'_>,
    ) -> Option<Payload> {
        let content = self.file(name, at, REPLAY_MAX_BYTES)?;
        let text = self.text_of(name, &content)?;
        match Replay::new(&content, text, &envelope, envelope_bytes(&envelope), record_max) {
            Ok(replay) => {
                let mean = replay.sizes.mean();
                let custom = Arc::new(Custom { source: Source::Replay(replay), envelope });
                Some(Payload { name: format!("replay {name}"), bytes: mean, custom: Some(custom) })
            }
            Err(faults) => {
                self.faults(name, text, "record", faults);
                None
            }
        }
    }

    fn faults(&mut self, name: &str, text: &str, field: &str, faults: Vec<Fault>) {
        for Fault { at, found, expected } in faults {
            self.wrong_in_file(name, position(text, at), field, found, expected);
        }
    }

    /// The paths other than the default at which the function has to look for envelopes.
    pub fn envelope_paths<'p>(
        &mut self,
        payloads: impl Iterator<Item = &'p Payload>,
        at: &Place<'_>,
    ) -> Vec<EnvelopePath> {
        let paths = payloads.filter_map(|payload| payload.custom.as_ref()).map(|custom| &custom.envelope);
        let mut paths: Vec<EnvelopePath> = paths.filter(|path| !path.is_default()).cloned().collect();
        paths.sort();
        paths.dedup();
        if paths.len() > PATHS_MAX {
            let found = format!("{} paths of envelopes", paths.len());
            self.wrong(at, found, format!("at most {PATHS_MAX} other than the default in a plan"));
        }
        paths
    }
}

/// Line and column of a place in a text, both from 1; columns are characters.
fn position(text: &str, at: usize) -> Position {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Position { line, column }
}
