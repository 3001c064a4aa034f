//! The user's own records: rendered from a template, or replayed, with the envelope put in.

use std::sync::Arc;

use bytes::Bytes;

use super::super::keys::mix;
use crate::plan::payload::{Custom, Facts, Insertion, Source};
use crate::wire::envelope::{ENVELOPE_MAX_BYTES, Envelope};

/// The records of one test; what is random in them is a function of the seed and the sequence.
#[derive(Clone, Debug)]
pub struct CustomRecords {
    custom: Arc<Custom>,
    seed: u64,
}

impl CustomRecords {
    pub fn new(custom: &Arc<Custom>, seed: u64) -> CustomRecords {
        CustomRecords { custom: Arc::clone(custom), seed: mix(seed) }
    }

    /// The data of record `k` of the test.
    pub fn build(&self, envelope: &Envelope, k: u64, key: &str) -> Bytes {
        let mut member = Vec::with_capacity(ENVELOPE_MAX_BYTES);
        envelope.write_named(self.custom.envelope.member(), &mut member);
        match &self.custom.source {
            Source::Template(template) => {
                let mut data = Vec::with_capacity(self.custom.sizes().max);
                let facts = Facts {
                    run: envelope.run.as_str(),
                    sequence: envelope.sequence,
                    due_us: envelope.due_us,
                    key,
                    envelope: &member,
                };
                let mut random = fastrand::Rng::with_seed(mix(self.seed ^ envelope.sequence));
                template.render(&facts, &mut random, &mut data);
                Bytes::from(data)
            }
            Source::Replay(replay) => {
                let line = replay.line(k);
                let Insertion { at, comma } = line.insertion;
                let mut data = Vec::with_capacity(line.text.len() + member.len() + 1);
                data.extend_from_slice(&line.text[..at]);
                data.extend_from_slice(&member);
                if comma {
                    data.push(b',');
                }
                data.extend_from_slice(&line.text[at..]);
                Bytes::from(data)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Records;
    use super::*;
    use crate::load::testing::run_id;
    use crate::plan::{self, Test};
    use crate::wire::envelope::EnvelopePath;

    fn test(payload: &str, file: &str) -> Test {
        let text = format!(
            "schema: streamgauge/plan/v1\nname: p\nphases: [{{name: a, tests: [{{id: t, name: t, payload: {payload}, \
             stages: [{{duration: 1s, target: 1}}]}}]}}]\n"
        );
        let files = BTreeMap::from([("f".to_owned(), Bytes::from(file.to_owned()))]);
        let plan = plan::parse_with(&text, &files).unwrap_or_else(|errors| panic!("{errors}"));
        plan.tests().next().unwrap().clone()
    }

    fn envelope(sequence: u64) -> Envelope {
        Envelope { run: run_id(), level: 3, sequence, due_us: 1_763_688_760_123_456, poison: false }
    }

    fn path(text: &str) -> EnvelopePath {
        text.parse().expect("a path")
    }

    #[test]
    fn a_template_is_filled_and_its_envelope_found_where_the_plan_says() {
        let file = r#"{"id":"{{uuid}}","n":{{random_int(-5,5)}},"meta":{"at":"{{due_iso}}"},"who":"{{key}}","h":"{{random_hex(20)}}",
            "kind":"{{pick("a\b","c")}}","ok":{{pick("true","[1]")}},"seq":{{seq}},"run":"{{run}} {{due_us}}","pad":"{{pad}}"}"#;
        let test = test("{template: f, envelope: $.meta.trace, bytes: 600}", file);
        let records = Records::new(&test);
        for sequence in [0, 7, 123_456_789] {
            let data = records.build(&envelope(sequence), 5, "key-000042");
            assert_eq!(data.len(), 600);
            assert_eq!(data, records.build(&envelope(sequence), 6, "key-000042"), "of the sequence alone");
            let read: serde_json::Value = serde_json::from_slice(&data).unwrap();
            assert_eq!(Envelope::find(&data, &[path("$.meta.trace")]), Some(envelope(sequence)));
            assert_eq!(Envelope::find(&data, &[]), None, "not where it would be by default");
            assert_eq!(read["meta"]["at"], "2025-11-21T01:32:40.123456Z");
            assert_eq!((&read["seq"], &read["who"]), (&sequence.into(), &"key-000042".into()));
            assert_eq!(read["run"], "20261121-013240-k3f9 1763688760123456");
            assert!((-5..=5).contains(&read["n"].as_i64().unwrap()));
            assert!(["a\\b", "c"].contains(&read["kind"].as_str().unwrap()), "{read}");
            let uuid = read["id"].as_str().unwrap();
            assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
            assert!(read["h"].as_str().unwrap().len() == 20);
        }
        let other = records.build(&envelope(8), 5, "key-000042");
        assert_ne!(other, records.build(&envelope(9), 5, "key-000042"));
    }

    #[test]
    fn in_the_default_place_the_envelope_is_the_first_thing() {
        let test = test("{template: f}", r#"{"a":1}"#);
        let data = Records::new(&test).build(&envelope(1), 0, "k");
        assert!(data.starts_with(br#"{"sg":{"r":""#), "the function need not read the rest");
        assert!(data.ends_with(br#"},"a":1}"#));
    }

    #[test]
    fn records_are_replayed_in_turn() {
        let test = test("{replay: f, envelope: $.m.t}", "{\"m\":{},\"a\":1}\n{\"b\":2,\"m\":{\"x\":[{}]}}\n");
        let records = Records::new(&test);
        for k in 0..5 {
            let data = records.build(&envelope(100 + k), k, "k");
            let mut read: serde_json::Value = serde_json::from_slice(&data).unwrap();
            assert_eq!(Envelope::find(&data, &[path("$.x.y"), path("$.m.t")]), Some(envelope(100 + k)));
            read["m"].as_object_mut().unwrap().remove("t");
            let wanted = if k % 2 == 0 { r#"{"m":{},"a":1}"# } else { r#"{"b":2,"m":{"x":[{}]}}"# };
            assert_eq!(read, serde_json::from_str::<serde_json::Value>(wanted).unwrap());
        }
    }

    #[test]
    fn no_record_is_larger_than_the_plan_counts_with() {
        let file = r#"{"n":{{seq}},"p":{{pick("1","123456789")}}}"#;
        let test = test("{template: f}", file);
        let longest = Envelope {
            level: 999,
            sequence: u64::MAX,
            due_us: 9_999_999_999_999_999,
            poison: true,
            ..envelope(0)
        };
        let most = test.payload.bytes_max();
        let lengths = (0..50).map(|i| {
            Records::new(&test).build(&Envelope { due_us: i, ..longest.clone() }, i as u64, "k").len()
        });
        assert!(lengths.max().unwrap() <= most);
        assert!(test.payload.bytes < most, "the mean of short and long ones");
    }
}
