//! The envelope: what each record carries so that it can be followed.
//!
//! On the wire it is the member `sg` of the record's JSON object, first in the object and compact:
//! `{"sg":{"r":"20261121-013240-k3f9","l":3,"s":12345,"d":1763688760123456}, ...}`. A record that the function
//! is to fail on has `"p":true` behind the due time. Records of the user's may have it elsewhere: at an
//! [`EnvelopePath`].

use std::io::Write;

use serde::{Deserialize, Serialize};

pub use super::envelope_path::EnvelopePath;
use super::run_id::{RUN_ID_LEN, RunId};

/// Level index of a readiness probe: never counted.
pub const PROBE_LEVEL: u32 = 999;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    #[serde(rename = "r")]
    pub run: RunId,
    /// Index of the level within the run, from 0; [`PROBE_LEVEL`] for probes.
    #[serde(rename = "l")]
    pub level: u32,
    /// Sequence within the run, from 0; one count over all levels. Probes count by themselves.
    #[serde(rename = "s")]
    pub sequence: u64,
    /// When the record was due, microseconds since the epoch.
    #[serde(rename = "d")]
    pub due_us: i64,
    /// Poison: the function must fail on this record, however often it comes. Left out where it is false.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub poison: bool,
}

/// Longest text of the member (`"sg":{...}`) that numbers of these types can make: 107 bytes. Levels have three
/// digits and times sixteen, so that real ones fit the smallest payload.
pub const ENVELOPE_MAX_BYTES: usize =
    r#""sg":{"r":"","l":,"s":,"d":,"p":true}"#.len() + RUN_ID_LEN + 10 + 20 + 20;

/// How a compact record starts.
const OPENING: &[u8] = br#"{"sg":{"#;

impl Envelope {
    /// Appends the member `"sg":{...}`, compact, without the braces of the object around it: the caller
    /// opens the object, writes this first, and goes on with `,` or `}`.
    pub fn write_member(&self, out: &mut Vec<u8>) {
        self.write_named("sg", out);
    }

    /// As [`Envelope::write_member`], under another name, which needs no escaping.
    pub fn write_named(&self, name: &str, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let poison = if self.poison { r#","p":true"# } else { "" };
        let _ = write!(
            out,
            r#""{name}":{{"r":"{}","l":{},"s":{},"d":{}{poison}}}"#,
            self.run, self.level, self.sequence, self.due_us
        );
    }

    /// The envelope of a record's data, at one of `paths`, which are looked at in turn, or else in its default place.
    pub fn find(data: &[u8], paths: &[EnvelopePath]) -> Option<Envelope> {
        paths.iter().find_map(|path| path.find_in(data)).or_else(|| Envelope::find_in(data))
    }

    /// The envelope of a record's data in its default place, if it has one. A record that starts with `{"sg":{` is read without
    /// looking at the rest of it; otherwise the whole is parsed as JSON and the top-level member `sg` taken,
    /// wherever it stands and however it is spaced.
    pub fn find_in(data: &[u8]) -> Option<Envelope> {
        if let Some(envelope) = find_at_start(data) {
            return Some(envelope);
        }
        serde_json::from_slice::<Enclosing>(data).ok().map(|enclosing| enclosing.sg)
    }
}

/// Any JSON object with the member `sg`.
#[derive(Deserialize)]
struct Enclosing {
    sg: Envelope,
}

fn find_at_start(data: &[u8]) -> Option<Envelope> {
    let object = data.strip_prefix(&OPENING[..OPENING.len() - 1])?;
    // Our own envelope is flat, and neither ids nor numbers hold a brace: the first one closes it.
    let end = object.iter().take(ENVELOPE_MAX_BYTES).position(|byte| *byte == b'}')?;
    serde_json::from_slice(&object[..=end]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(level: u32, sequence: u64, due_us: i64) -> Envelope {
        let run = "20261121-013240-k3f9".parse().expect("well formed");
        Envelope { run, level, sequence, due_us, poison: false }
    }

    #[test]
    fn is_compact_and_bounded() {
        let mut out = b"{".to_vec();
        envelope(3, 12_345, 1_763_688_760_123_456).write_member(&mut out);
        out.push(b'}');
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"sg":{"r":"20261121-013240-k3f9","l":3,"s":12345,"d":1763688760123456}}"#
        );
        let mut longest = Vec::new();
        let poisoned = Envelope { poison: true, ..envelope(u32::MAX, u64::MAX, i64::MIN) };
        poisoned.write_member(&mut longest);
        assert_eq!(longest.len(), ENVELOPE_MAX_BYTES);
        assert!(longest.ends_with(br#","p":true}"#));
    }

    #[test]
    fn is_found_wherever_it_stands() {
        let wanted = envelope(3, 7, 11);
        for text in [
            r#"{"sg":{"r":"20261121-013240-k3f9","l":3,"s":7,"d":11},"pad":"xxxx"}"#,
            r#"{ "a": [1, {"sg": 1}], "sg" : { "d": 11, "s": 7, "l": 3, "r": "20261121-013240-k3f9", "z": {} } }"#,
            // Torn after the envelope: the fast path does not need the rest.
            r#"{"sg":{"r":"20261121-013240-k3f9","l":3,"s":7,"d":11},"pad":"#,
        ] {
            assert_eq!(Envelope::find_in(text.as_bytes()), Some(wanted.clone()), "{text}");
        }
        for text in [
            "",
            "{}",
            "null",
            r#"{"sg":{}}"#,
            r#"{"sg":1}"#,
            r#"{"sg":{"r":"no","l":3,"s":7,"d":11}}"#,
            r#"{"x":{"sg":{"r":"20261121-013240-k3f9","l":3,"s":7,"d":11}}}"#,
        ] {
            assert_eq!(Envelope::find_in(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn comes_back_from_any_record(
            level: u32, sequence: u64, due_us: i64, poison: bool, rest in "[ -~]{0,40}",
        ) {
            let wanted = Envelope { poison, ..envelope(level, sequence, due_us) };
            let mut out = b"{".to_vec();
            wanted.write_member(&mut out);
            out.extend_from_slice(format!(",\"pad\":{}}}", serde_json::json!(rest)).as_bytes());
            prop_assert_eq!(Envelope::find_in(&out), Some(wanted));
        }

        #[test]
        fn never_panics(data: Vec<u8>) {
            let _ = Envelope::find_in(&data);
            let mut opened = OPENING.to_vec();
            opened.extend_from_slice(&data);
            let _ = Envelope::find_in(&opened);
        }
    }
}
