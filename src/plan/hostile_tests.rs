//! Plans from nowhere good: no panic, a bounded answer, and positions inside the text.

use proptest::prelude::*;

use super::*;

const QUICKSTART: &str = include_str!("../../plans/quickstart.yaml");

fn first_error(text: &str) -> String {
    parse(text).expect_err("refused").iter().next().unwrap().to_string()
}

#[test]
fn says_what_is_not_a_plan_at_all() {
    for (text, expected) in [
        ("", "1:1: plan: found an empty text, expected a plan"),
        ("# only a comment\n", "plan: found an empty text, expected a plan"),
        ("just text", "1:1: plan: found `just text`, expected a mapping of keys to values"),
        ("[1, 2]", "1:1: plan: found a list, expected a mapping of keys to values"),
        ("~", "1:1: plan: found nothing, expected a mapping of keys to values"),
        ("name: [unclosed", "name: found text that is not YAML ("),
        ("name: x\n\tschema: y\n", "2:1: name: found text that is not YAML ("),
        ("name: x\nphases:\n\t- a\n", "expected spaces: YAML does not indent with tabs"),
        ("name: a\n---\nname: b\n", "2:1: plan: found a second document, expected one plan in a file"),
        ("name: &a x\nschema: *a\n", "2:9: schema: found an alias, expected the value itself"),
        ("name: !!str x\n", "name: found the tag"),
        ("? [a, b]\n: c\n", "a key that is not a plain name"),
        ("name: a\nname: b\n", "2:1: name: found the key `name` again, expected each key once"),
    ] {
        let errors = parse(text).expect_err("refused").to_string();
        assert!(errors.lines().any(|error| error.contains(expected)), "{text:?}: {errors}");
    }
}

#[test]
fn says_where_bytes_are_not_utf8() {
    let errors = parse_bytes(b"name: x\nsch\xffma: y", &NoFiles).unwrap_err();
    assert_eq!(errors.to_string(), "2:4: plan: found the byte 0xff, which is not UTF-8, expected UTF-8 text");
    assert!(parse_bytes(&[0; 1_000], &NoFiles).is_err());
    assert!(parse_bytes(QUICKSTART.as_bytes(), &NoFiles).is_ok());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_matter() {
    let windows = format!("\u{feff}{}", QUICKSTART.replace('\n', "\r\n"));
    let (plan, same) = (parse(&windows).unwrap(), parse(QUICKSTART).unwrap());
    assert_eq!(plan.phases, same.phases);
    assert_eq!(plan.text, windows);
    let wrong = windows.replace("lost == 0 ", "lost != 0 ");
    let unix_wrong = QUICKSTART.replace("lost == 0 ", "lost != 0 ");
    assert_eq!(first_error(&wrong), first_error(&unix_wrong));
}

/// Each would take seconds, gigabytes or the stack of a naive reader. That they return at all, in a test
/// build, is the assertion; what they say is checked too.
#[test]
fn bombs_end_at_once() {
    let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let previous = format!("*a{}", i - 1);
        aliases.push_str(&format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 10].join(", ")));
    }
    for (text, expected) in [
        (aliases, "found an alias"),
        ("[".repeat(100_000), ""),
        ("{a: ".repeat(100_000), ""),
        ("- ".repeat(100_000), ""),
        (format!("name: {}", "x".repeat(TEXT_MAX_BYTES)), "expected a plan of at most 1048576 bytes"),
        (format!("phases: [{}]", "1,".repeat(400_000)), "expected a plan of at most 100000 values"),
        ("a: 1\n".repeat(150_000), ""),
        ((0..90_000).map(|i| format!("k{i}: 1\n")).collect(), "unknown key"),
        (format!("phases: [{}]", "{},".repeat(30_000)), ""),
        (format!("criteria: [\"{}\"]", "(".repeat(500_000)), ""),
        (format!("name: \"{}\"", "\\n".repeat(500_000)), ""),
        ("\n".repeat(1_000_000), ""),
        ("'".repeat(1_000_000), ""),
        ("? ".repeat(300_000), ""),
    ] {
        let errors = parse(&text).expect_err("refused");
        assert!(errors.iter().count() <= 50);
        assert!(errors.to_string().contains(expected), "{}", errors.iter().next().unwrap());
        assert!(errors.iter().all(|error| error.to_string().len() < 1_000), "no error repeats the bomb");
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let Err(errors) = parse(text) else { return Ok(()) };
    prop_assert!(errors.iter().count() >= 1);
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').collect();
    for error in errors.iter() {
        let Position { line, column } = error.position;
        prop_assert!((1..=lines.len()).contains(&line), "{error}");
        prop_assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{error}");
        prop_assert!(!error.to_string().contains('\n'), "{error}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        check(&text)?;
    }

    #[test]
    fn any_text_with_the_characters_of_yaml_is_answered(
        text in r#"[a-c0-9:,\[\]{}&*!|>'"%@`#?\- \n\t\r\\~.\u{feff}é]{0,80}"#
    ) {
        check(&text)?;
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes(&bytes, &NoFiles);
    }

    #[test]
    fn a_plan_with_a_piece_replaced_is_answered(
        at in 0.0..1.0_f64,
        length in 0..40_usize,
        piece in prop_oneof![
            Just("".to_owned()), "[a-z:\\-{}\\[\\], 0-9%<>=.\"'\n]{1,12}",
            Just("99999999999999999999".to_owned()), Just(".nan".to_owned()), Just("-.inf".to_owned()),
            Just("null".to_owned()), Just("{}".to_owned()), Just("[]".to_owned()), Just("1e400".to_owned()),
        ],
    ) {
        let characters: Vec<char> = QUICKSTART.chars().collect();
        let from = (at * characters.len() as f64) as usize;
        let until = (from + length).min(characters.len());
        let changed: String =
            characters[..from].iter().copied().chain(piece.chars()).chain(characters[until..].iter().copied()).collect();
        check(&changed)?;
    }

    #[test]
    fn any_criterion_is_answered(text in "[a-z_.]{0,14} ?[<>=!]{0,2} ?[0-9.e+-]{0,6}(%|ms|s|USD|x)?") {
        let _ = super::criterion::parse(&text);
    }
}
