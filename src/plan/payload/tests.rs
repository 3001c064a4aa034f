//! Plans with payloads of the user's: what is read, and what is said about files that are wrong.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use crate::plan::{Errors, Plan, parse_with};

fn plan(payload: &str, file: &[u8]) -> Result<Plan, Errors> {
    let text = format!(
        "schema: streamgauge/plan/v1\nname: p\nphases:\n  - name: a\n    tests:\n      - id: t\n        name: t\n        \
         payload: {payload}\n        stages: [{{duration: 1s, target: 1}}]\n"
    );
    parse_with(&text, &BTreeMap::from([("f.json".to_owned(), Bytes::copy_from_slice(file))]))
}

/// Everything that is wrong, as the tool shows it.
fn said(payload: &str, file: &str) -> String {
    plan(payload, file.as_bytes()).expect_err("the plan is wrong").in_file("plans/p.yaml").to_string()
}

#[test]
fn a_wrong_placeholder_is_told_with_the_files_line_and_column() {
    let template = "{\n  \"é\": \"{{sec}}\",\n  \"b\": {{uuid}}, \"c\": \"{{random_int(5,1)}}\"\n}\n";
    let said = said("{template: f.json}", template);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(
        lines[0],
        "plans/f.json:2:9: template: found `{{sec}}`, expected a placeholder; the nearest: seq, key"
    );
    assert!(lines[1].starts_with("plans/f.json:3:8: template: found `{{uuid}}`, expected quotes"), "{said}");
    assert!(lines[2].contains(":3:24: ") && lines[2].contains("random_int(LOWEST,HIGHEST)"), "{said}");
}

#[test]
fn templates_that_make_no_record_are_refused() {
    for (payload, template, wanted) in [
        ("{template: f.json}", "{\"a\": {{seq}}", "f.json:1:13: template: found text that is no JSON (EOF"),
        ("{template: f.json}", "[{{seq}}]", "f.json:1:1: template: found something else than an object"),
        ("{template: f.json}", "{\"a\":\"{{seq\"}", "f.json:1:7: template: found `{{`, expected `}}`"),
        ("{template: f.json}", "{\"a\":\"{{nothing_like_it}}\"}", "expected one of seq, run, due_us"),
        ("{template: f.json}", "{\"a\":{{pick(\"x\")}}}", "outside quotes each a JSON value"),
        ("{template: f.json}", "{\"sg\":{{seq}}}", "found a member `sg` already"),
        ("{template: f.json, envelope: $.meta.sg}", "{\"a\":1}", "found no member `meta`"),
        (
            "{template: f.json, envelope: meta}",
            "{}",
            "p.yaml:8:47: phases[0].tests[0].payload.envelope: found",
        ),
        ("{template: f.json}", "{\"a\":\"{{pad}}\"}", "expected a size to fill up to: `bytes:`"),
        ("{template: f.json, bytes: 500}", "{\"a\":1}", "found no placeholder `pad`"),
        (
            "{template: f.json, bytes: 50}",
            "{\"a\":\"{{pad}}\"}",
            "payload.bytes: found the number 50, expected 98 to",
        ),
        (
            "{template: f.json, bytes: 100}",
            "{\"a\":\"{{pad}}\"}",
            "found records of up to 105 bytes with their",
        ),
        ("{template: none.json}", "{}", "found the file `none.json`: there is no such file"),
        ("{template: f.json, replay: f.json}", "{}", "expected either template or replay"),
        ("{replay: f.json, bytes: 500}", "{}", "payload.bytes: found the number 500, expected no size"),
        ("{replay: f.json}", "{}\n\n{\"a\": 1,}\n[]\n", "f.json:3:9: record: found text that is no JSON"),
        (
            "{replay: f.json}",
            "{}\n\n{\"a\": 1,}\n[]\n",
            "f.json:4:1: record: found something else than an object",
        ),
        ("{replay: f.json}", "\n", "f.json:1:1: record: found no record"),
        ("{envelope: $.a.b}", "", "expected small, medium"),
    ] {
        let said = said(payload, template);
        assert!(said.contains(wanted), "{payload} {template}: {said}");
    }
    let errors = plan("{template: f.json}", b"{\"a\":\"\xff\"}").expect_err("not UTF-8").to_string();
    assert!(errors.starts_with("f.json:1:7: ") && errors.contains("not UTF-8"), "{errors}");
    let large = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1_048_576));
    assert!(said("{replay: f.json}", &large).contains("expected at most 1048566 bytes, as the stream takes"));
}

#[test]
fn sizes_are_those_of_the_records() {
    let template =
        plan("{template: f.json, envelope: $.m.t}", br#"{"m":{},"a":{{pick("1","22","333")}}}"#).unwrap();
    let payload = &template.tests().next().unwrap().payload;
    assert_eq!(payload.name, "template f.json");
    let sizes = payload.custom.as_ref().unwrap().sizes();
    // {"m":{},"a":} and the longest envelope, 95 bytes as `t`; nothing behind it in its object, so no comma.
    assert_eq!(sizes.max - sizes.min, 2, "{sizes:?}");
    assert_eq!(payload.bytes, sizes.min + 1);
    assert_eq!(
        payload.size_text(),
        format!("{} to {} bytes, {} on average", sizes.min, sizes.max, payload.bytes)
    );
    assert_eq!(template.environment.function.envelope_paths[0].to_string(), "$.m.t");
    let padded = plan("{template: f.json, bytes: 300}", br#"{"a":"{{pad}}"}"#).unwrap();
    assert_eq!(padded.tests().next().unwrap().payload.size_text(), "300 bytes");
    assert!(padded.environment.function.envelope_paths.is_empty(), "the default place needs no looking");
    let replay = plan("{replay: f.json}", b"{}\n{\"a\":1}\n").unwrap();
    let payload = &replay.tests().next().unwrap().payload;
    assert_eq!((payload.name.as_str(), payload.bytes_max() - payload.bytes), ("replay f.json", 3));
    assert_ne!(replay.hash, padded.hash);
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(
        pieces in prop::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("{{"), Just("}}"), Just("\""), Just("\\"), Just("seq"), Just("pick(\"a\")"),
            Just("random_int(1,2)"), Just("pad"), Just(":"), Just(","), Just("\"a\":"), Just("\n"), Just("é"), Just("1"),
        ], 0..24),
        replay: bool,
    ) {
        let payload = if replay { "{replay: f.json}" } else { "{template: f.json}" };
        let file = pieces.concat();
        if let Err(errors) = plan(payload, file.as_bytes()) {
            prop_assert!(errors.iter().count() > 0);
        }
    }
}
