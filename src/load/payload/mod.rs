//! Payloads. Ours are JSON of an exact size, the envelope first. What does not change from record to record is
//! prepared once a test; a record costs one allocation and a copy.

mod custom;

use bytes::Bytes;

use super::keys::mix;
use crate::plan;
use crate::wire::envelope::Envelope;
use crate::wire::run_id::RUN_ID_LEN;
use custom::CustomRecords;

/// Digits of the largest level index (the probes' 999) and sequence, and of microseconds since the epoch until
/// the year 2286.
const LEVEL_DIGITS: usize = 3;
const SEQUENCE_DIGITS: usize = 20;
const DUE_DIGITS: usize = 16;
/// What stands around the numbers: `{"sg":{"r":"`, `","l":`, `,"s":`, `,"d":`, `,"p":true` and `}}`.
const ENVELOPE_PUNCTUATION: usize = 12 + 6 + 5 + 5 + 9 + 2;
/// `,"pad":"` and `"`: what a filler costs. A gap that is smaller is filled with spaces, which JSON allows.
const PAD_BEFORE: &str = ",\"pad\":\"";
const PAD_AFTER: &str = "\"";

/// Bytes of the smallest payload: the envelope of a poisoned record alone, with the largest numbers.
pub const fn min_bytes() -> usize {
    ENVELOPE_PUNCTUATION + RUN_ID_LEN + LEVEL_DIGITS + SEQUENCE_DIGITS + DUE_DIGITS
}

/// The records of one test, prepared.
#[derive(Clone, Debug)]
pub enum Records {
    Ours(Template),
    Custom(CustomRecords),
}

impl Records {
    pub fn new(test: &plan::Test) -> Records {
        match &test.payload.custom {
            None => Records::Ours(Template::new(&test.payload)),
            Some(custom) => Records::Custom(CustomRecords::new(custom, test.keys.seed)),
        }
    }

    /// The data of record `k` of the test, whose partition key is `key`.
    pub fn build(&self, envelope: &Envelope, k: u64, key: &str) -> Bytes {
        match self {
            Records::Ours(template) => template.build(envelope),
            Records::Custom(custom) => custom.build(envelope, k, key),
        }
    }
}

/// Everything of a payload of ours but the envelope.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: usize,
    /// Members after the envelope, each with its comma before it.
    members: Vec<u8>,
    /// At least as long as any record needs: letters and digits, so that it compresses as data would.
    filler: Vec<u8>,
}

impl Template {
    pub fn new(payload: &plan::Payload) -> Template {
        let room = payload.bytes.saturating_sub(min_bytes());
        let members = members(room);
        let filler = filler(payload.bytes - members.len().min(payload.bytes));
        Template { bytes: payload.bytes, members, filler }
    }

    /// The record's data: exactly the payload's bytes, valid JSON, the envelope first. (If the size is below
    /// [`min_bytes`], which a plan cannot say, the envelope alone.)
    pub fn build(&self, envelope: &Envelope) -> Bytes {
        let mut data = Vec::with_capacity(self.bytes.max(min_bytes()));
        data.push(b'{');
        envelope.write_member(&mut data);
        data.extend_from_slice(&self.members);
        let gap = self.bytes.saturating_sub(data.len() + 1);
        match gap.checked_sub(PAD_BEFORE.len() + PAD_AFTER.len()) {
            Some(letters) => {
                data.extend_from_slice(PAD_BEFORE.as_bytes());
                data.extend_from_slice(&self.filler[..letters]);
                data.extend_from_slice(PAD_AFTER.as_bytes());
            }
            None => data.resize(data.len() + gap, b' '),
        }
        data.push(b'}');
        Bytes::from(data)
    }
}

/// The smallest record with the envelope at a path: for probes.
pub fn bare(envelope: &Envelope, path: &plan::EnvelopePath) -> Bytes {
    let mut data = vec![b'{'];
    for parent in path.parents() {
        data.extend_from_slice(format!("\"{parent}\":{{").as_bytes());
    }
    envelope.write_named(path.member(), &mut data);
    data.resize(data.len() + path.parents().len() + 1, b'}');
    Bytes::from(data)
}

/// One payload of ours by itself: for tests. A load prepares [`Records`].
#[cfg(test)]
fn build(envelope: &Envelope, payload: &plan::Payload) -> Bytes {
    Template::new(payload).build(envelope)
}

/// Seeded letters and digits.
fn filler(length: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    (0..length).map(|i| LETTERS[(mix(i as u64) % 64) as usize]).collect()
}

/// Which part of the room the nested records of a large payload may take; the rest is padding.
const BATCH_SHARE_PERCENT: usize = 90;

/// The members that make it look like what such payloads hold in production, within `room` bytes.
fn members(room: usize) -> Vec<u8> {
    const SENSOR: &str = r#","t":21.5"#;
    let members = match room {
        0..9 => String::new(),
        9..360 => SENSOR.to_owned(),
        360..800 => event(),
        800..3_000 => transaction(),
        _ => batch(room * BATCH_SHARE_PERCENT / 100),
    };
    members.into_bytes()
}

/// API event: user, session, action, page metadata.
fn event() -> String {
    concat!(
        r#","event":"page_view","user":{"id":"u-4821973","plan":"pro","country":"DE"},"#,
        r#""session":{"id":"s-9f31c2d7a84e","started_at":"2026-11-20T09:41:07Z","seq":17},"#,
        r#""action":{"type":"click","target":"checkout-button","duration_ms":182},"#,
        r#""page":{"path":"/cart","referrer":"/products/1289","title":"Your cart","locale":"de-DE"}"#,
    )
    .to_owned()
}

/// Detailed record of a transaction log.
fn transaction() -> String {
    concat!(
        r#","transaction":{"id":"t-20261120-00918273","type":"purchase","currency":"EUR","amount":"129.90","#,
        r#""tax":"20.74","status":"captured","method":"card","channel":"web"},"#,
        r#""customer":{"id":"c-771204","since":"2019-03-14","segment":"returning","country":"DE"},"#,
        r#""items":[{"sku":"SKU-10442","name":"Trail shoe","quantity":1,"unit_price":"99.90"},"#,
        r#"{"sku":"SKU-20117","name":"Running socks","quantity":3,"unit_price":"10.00"}],"#,
        r#""shipping":{"method":"standard","carrier":"DHL","city":"Berlin","postcode":"10115"},"#,
        r#""audit":{"source":"checkout","version":"4.18.2","request_id":"req-5c1e77aa90b3"}"#,
    )
    .to_owned()
}

/// A batch of nested events, as many as fit into `room`.
fn batch(room: usize) -> String {
    let mut text = String::from(
        r#","source":{"service":"collector","region":"eu-central-1","host":"ip-10-0-3-17"},"events":["#,
    );
    for i in 0_u64.. {
        let random = mix(i);
        let comma = if i == 0 { "" } else { "," };
        let event = format!(
            concat!(
                r#"{}{{"id":"e-{:016x}","kind":"object_created","at_ms":{},"#,
                r#""object":{{"key":"uploads/{:08x}.jpg","bytes":{},"tags":["original","eu"]}},"#,
                r#""actor":{{"id":"u-{}","ip":"10.{}.{}.{}"}}}}"#
            ),
            comma,
            random,
            1_763_688_760_000 + i * 37,
            random as u32,
            random % 9_000_000,
            random % 1_000_000,
            random % 256,
            (random >> 8) % 256,
            (random >> 16) % 256,
        );
        if text.len() + event.len() + 1 > room {
            break;
        }
        text.push_str(&event);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::testing::run_id;
    use crate::wire::envelope::PROBE_LEVEL;

    fn payload(bytes: usize) -> plan::Payload {
        plan::Payload::sized(format!("{bytes} bytes"), bytes)
    }

    fn envelope(level: u32, sequence: u64) -> Envelope {
        Envelope { run: run_id(), level, sequence, due_us: 1_763_688_760_123_456, poison: false }
    }

    #[test]
    fn the_envelope_comes_first_in_its_documented_form() {
        let data = build(&envelope(3, 12_345), &payload(100));
        let text = std::str::from_utf8(&data).unwrap();
        let documented = r#"{"sg":{"r":"20261121-013240-k3f9","l":3,"s":12345,"d":1763688760123456},"#;
        assert!(text.starts_with(documented), "{text}");
        let compact = serde_json::to_string(&envelope(3, 12_345)).unwrap();
        assert!(documented.contains(&compact), "serde writes the same");
    }

    #[test]
    fn the_smallest_payload_is_what_the_plan_counts_with() {
        let largest = Envelope {
            run: run_id(),
            level: PROBE_LEVEL,
            sequence: u64::MAX,
            due_us: 9_999_999_999_999_999,
            poison: true,
        };
        assert_eq!(build(&largest, &payload(min_bytes())).len(), min_bytes());
        assert_eq!(build(&largest, &payload(0)).len(), min_bytes(), "the envelope alone is that large");
        assert_eq!(min_bytes(), plan::PAYLOAD_MIN_BYTES);
        assert!(min_bytes() <= 100);
        assert_eq!(plan::LEVELS_MAX as u32, PROBE_LEVEL);
    }

    #[test]
    fn the_named_payloads_have_their_shapes() {
        let read = |bytes| -> serde_json::Value {
            serde_json::from_slice(&build(&envelope(0, 0), &payload(bytes))).unwrap()
        };
        assert_eq!(read(500)["session"]["seq"], 17);
        assert_eq!(read(1_024)["items"][1]["quantity"], 3);
        assert!(read(5_120)["events"].as_array().unwrap().len() > 15);
        assert!(read(10_240)["events"][30]["object"]["bytes"].is_u64());
    }

    proptest! {
        #[test]
        fn every_size_is_exact_and_valid(
            bytes in prop_oneof![min_bytes()..1_200, 1_200_usize..20_000],
            level in 0..=PROBE_LEVEL,
            sequence in 0..=u64::MAX,
            poison: bool,
        ) {
            let envelope = Envelope { poison, ..envelope(level, sequence) };
            let data = build(&envelope, &payload(bytes));
            prop_assert_eq!(data.len(), bytes);
            let read: serde_json::Value = serde_json::from_slice(&data).unwrap();
            let back: Envelope = serde_json::from_value(read["sg"].clone()).unwrap();
            prop_assert_eq!(back, envelope);
        }
    }
}
