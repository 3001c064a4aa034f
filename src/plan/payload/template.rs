//! Templates: a JSON object with placeholders such as `{{seq}}`. Read once into segments; a record is their
//! concatenation, and all that is in it a function of the record and of what `random` gives.

use super::place::{EnvelopePath, insertion};
use super::placeholder::{self, Placeholder};
use super::{Fault, Sizes};

pub(in crate::plan) const TEMPLATE_MAX_BYTES: usize = 1_048_576;
/// Records that are made to see how large they get.
const SAMPLES: u64 = 500;

/// A template that makes valid JSON whatever the values are.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    segments: Vec<Segment>,
    /// Size that the padding fills each record up to.
    bytes: Option<usize>,
    pub sizes: Sizes,
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Literal(Vec<u8>),
    /// With a comma behind it where the object has other members.
    Envelope {
        comma: bool,
    },
    Value(Placeholder),
}

/// What a template is filled with.
pub struct Facts<'f> {
    pub run: &'f str,
    /// Within the run.
    pub sequence: u64,
    /// Microseconds since the epoch.
    pub due_us: i64,
    /// Partition key.
    pub key: &'f str,
    /// The envelope's member, without a comma.
    pub envelope: &'f [u8],
}

impl Template {
    /// `bytes`: the size that `{{pad}}` fills records up to. With an envelope of at most `envelope_bytes` a record
    /// may have `record_max` bytes.
    pub(super) fn new(
        text: &str,
        path: &EnvelopePath,
        bytes: Option<usize>,
        envelope_bytes: usize,
        record_max: usize,
    ) -> Result<Template, Vec<Fault>> {
        let text = text.trim_end();
        let (found, faults) = placeholder::find(text);
        if !faults.is_empty() {
            return Err(faults);
        }
        // Placeholders are replaced by something of their length: places stay what they are.
        let skeleton = placeholder::skeleton(text, &found);
        let place = insertion(&skeleton, path)
            .map_err(|unfit| vec![Fault { at: unfit.at, found: unfit.found, expected: unfit.expected }])?;
        let mut template = Template { segments: Vec::new(), bytes, sizes: Sizes::none() };
        let mut at = 0;
        for one in &found {
            template.literal(text, at, one.from, place.at, place.comma);
            template.segments.push(Segment::Value(one.what.clone()));
            at = one.to;
        }
        template.literal(text, at, text.len(), place.at, place.comma);
        template.check_padding(&found)?;
        template.measure(envelope_bytes);
        template.check_sizes(record_max)?;
        Ok(template)
    }

    /// The text between two placeholders; the envelope's place is never inside one.
    fn literal(&mut self, text: &str, from: usize, to: usize, envelope_at: usize, comma: bool) {
        let bytes = text.as_bytes();
        let mut rest = from;
        if (from..=to).contains(&envelope_at) && !self.has_envelope() {
            self.segments.push(Segment::Literal(bytes[from..envelope_at].to_vec()));
            self.segments.push(Segment::Envelope { comma });
            rest = envelope_at;
        }
        if rest < to {
            self.segments.push(Segment::Literal(bytes[rest..to].to_vec()));
        }
    }

    fn has_envelope(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Envelope { .. }))
    }

    fn check_padding(&self, found: &[placeholder::Found]) -> Result<(), Vec<Fault>> {
        let mut pads = found.iter().filter(|one| one.what == Placeholder::Pad);
        let fault = |at, found: &str, expected: &str| {
            Err(vec![Fault { at, found: found.to_owned(), expected: expected.to_owned() }])
        };
        match (pads.next(), pads.next(), self.bytes) {
            (_, Some(second), _) => fault(second.from, "`pad` a second time", "one `pad`"),
            (Some(pad), None, None) => {
                fault(pad.from, "`pad`", "a size to fill up to: `bytes:` in the payload")
            }
            (None, _, Some(_)) => fault(0, "no placeholder `pad`", "one, to fill records up to `bytes:`"),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self, record_max: usize) -> Result<(), Vec<Fault>> {
        let limit = self.bytes.unwrap_or(record_max).min(record_max);
        if self.sizes.max <= limit {
            return Ok(());
        }
        let found = format!("records of up to {} bytes with their envelope", self.sizes.max);
        let expected = match self.bytes {
            Some(bytes) if bytes <= record_max => format!("at most {bytes} bytes (`bytes:` of the payload)"),
            _ => format!("at most {record_max} bytes, as the stream takes them"),
        };
        Err(vec![Fault { at: 0, found, expected }])
    }

    /// How large records are, from samples, with the longest of all numbers in one of them.
    fn measure(&mut self, envelope_bytes: usize) {
        let envelope = vec![b'x'; envelope_bytes];
        let mut data = Vec::new();
        for sample in 0..SAMPLES {
            let facts = Facts {
                run: "20261121-013240-k3f9",
                sequence: sample * 1_000,
                due_us: 1_763_688_760_123_456,
                key: "key-000123",
                envelope: &envelope,
            };
            data.clear();
            self.render(&facts, &mut fastrand::Rng::with_seed(sample), &mut data);
            self.sizes.add(data.len());
        }
        let varying: usize = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => text.len(),
                Segment::Envelope { comma } => envelope_bytes + usize::from(*comma),
                Segment::Value(value) => value.bytes_max(),
            })
            .sum();
        self.sizes.max = self.sizes.max.max(varying);
    }

    /// Appends one record. Of the same facts and the same `random`, the same record.
    pub fn render(&self, facts: &Facts<'_>, random: &mut fastrand::Rng, out: &mut Vec<u8>) {
        let start = out.len();
        let mut pad_at = None;
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text),
                Segment::Envelope { comma } => {
                    out.extend_from_slice(facts.envelope);
                    if *comma {
                        out.push(b',');
                    }
                }
                Segment::Value(Placeholder::Pad) => pad_at = Some(out.len()),
                Segment::Value(value) => value.write(facts, random, out),
            }
        }
        let gap = self.bytes.unwrap_or(0).saturating_sub(out.len() - start);
        if let Some(at) = pad_at.filter(|_| gap > 0) {
            let end = out.len();
            out.resize(end + gap, b'x');
            out.copy_within(at..end, at + gap);
            placeholder::fill(&mut out[at..at + gap], random);
        }
    }
}
