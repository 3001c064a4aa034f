//! Markup, formulas and escape sequences in every text that comes from outside: no format takes them for its own.
//!
//! The report is compared with the same one without markup: it must have the same elements, attributes, rows and cells.
//! Nothing that a name holds can open, close or move any of them then.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser};
use serde_json::Value;

use super::testing::*;
use super::*;

const PLANTED: &str = "=1+1<script>alert(1)</script><img src=x onerror=1>\"'&lt;|`*_~~[a](javascript:1)![b](c)$x$\n# \
                       \u{1b}]0;t\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{0} @octocat o/r#12 GH-12 https://e.example www.e.example -->]]>";

/// Made by us, from numbers and words of our own: they cannot be planted in.
const OURS: [&str; 11] = [
    "schema",
    "verdict",
    "quantity",
    "unit_price",
    "amount",
    "total",
    "per_million_records",
    "monthly_cost_of_change",
    "cost_per_million",
    "pipeline_total",
    "test_total",
];
/// Maps whose keys come from outside.
const OPEN_MAPS: [&str; 4] = ["cloudwatch", "failed_by_reason", "before", "after"];

fn plant(value: &mut Value, key: &str, planted: &mut usize) {
    match value {
        // Times are written from numbers.
        Value::String(text) if !OURS.contains(&key) && text.parse::<jiff::Timestamp>().is_err() => {
            *text = PLANTED.to_owned();
            *planted += 1;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, key, planted)),
        Value::Object(members) => {
            members.iter_mut().for_each(|(key, member)| plant(member, key, planted));
            if OPEN_MAPS.contains(&key) {
                let named = std::mem::take(members).into_iter().enumerate();
                *members = named.map(|(index, (_, member))| (format!("{PLANTED}{index}"), member)).collect();
            }
        }
        _ => {}
    }
}

/// The rich report, and the same with markup in every text. What is drawn comes from the evidence's names.
fn both() -> [ReportModel; 2] {
    let existing = |evidence: &mut crate::evidence::model::Evidence| {
        evidence.environment.existing = Some(crate::evidence::existing::ExistingInfo {
            readers: vec!["a consumer".into()],
            before: [("mapping.batch_size".to_owned(), "100".to_owned())].into(),
            after: Some([("mapping.batch_size".to_owned(), "50".to_owned())].into()),
            ..Default::default()
        });
    };
    let with_names = rich_with(|evidence| {
        existing(evidence);
        for test in &mut evidence.tests {
            test.levels.iter_mut().for_each(|level| level.name = PLANTED.into());
            test.levels.iter_mut().for_each(|level| level.void = level.void.take().map(|_| PLANTED.into()));
            test.actions.iter_mut().for_each(|action| action.text = PLANTED.into());
        }
        evidence.flags.iter_mut().for_each(|flag| flag.detail = PLANTED.into());
    });
    let mut value = serde_json::to_value(&with_names).expect("JSON");
    let mut planted = 0;
    plant(&mut value, "", &mut planted);
    assert!(planted > 150, "{planted}");
    let mut model: ReportModel = serde_json::from_value(value).expect("still a report");
    for (test, drawn) in model.tests.iter_mut().zip(with_names.tests) {
        test.charts = drawn.charts;
    }
    [rich_with(existing), model]
}

/// Tag and attribute names of a page in their order, by the rules of HTML for quotes; and whether all quotes were closed.
fn elements(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let (mut tag, mut quote) = (String::new(), None);
        let mut length = None;
        for (at, character) in rest.char_indices() {
            match (quote, character) {
                (None, '>') => {
                    length = Some(at + 1);
                    break;
                }
                (None, '"' | '\'') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                (None, c) => tag.push(c),
                (Some(_), _) => {}
            }
        }
        found.push(tag);
        rest = &rest[length.expect("every tag is closed")..];
    }
    found
}

#[test]
fn html_has_the_elements_that_it_has_without_markup() {
    let [plain, planted] = both().map(|model| html(&model));
    let kinds = |page: &str| elements(page).into_iter().collect::<BTreeSet<String>>();
    assert_eq!(kinds(&planted), kinds(&plain));
    assert!(planted.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for forbidden in ["<script", "<img"] {
        assert!(!planted.contains(forbidden), "{forbidden}");
    }
    // Links lead to places of the page alone, whatever the names are that these are made of.
    for link in planted.split("href=").skip(1) {
        let target = link.strip_prefix("\"#").and_then(|rest| rest.split_once('"')).map(|(target, _)| target);
        let is_plain = |target: &str| target.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!(target.is_some_and(is_plain), "{target:?}");
    }
}

/// What a reader of GitHub's Markdown makes of it, its texts aside; and its texts.
fn read(text: &str) -> (Vec<String>, String) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_MATH
        | Options::ENABLE_TASKLISTS;
    let (mut structure, mut texts) = (Vec::new(), String::new());
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Text(text) => texts.push_str(&text),
            event => structure.push(format!("{event:?}")),
        }
    }
    (structure, texts)
}

#[test]
fn markdown_has_the_structure_that_it_has_without_markup() {
    for format in [markdown, short] {
        let [(plain, _), (planted, texts)] = both().map(|model| read(&format(&model)));
        let differs = planted.iter().zip(&plain).position(|(planted, plain)| planted != plain);
        assert_eq!((differs, planted.len()), (None, plain.len()), "{:?}", differs.map(|at| &planted[at]));
        assert!(texts.contains("<script>alert(1)</script>"), "{texts}");
        // What GitHub makes of the texts afterwards: mentions, references and links.
        for linked in ["@octocat", "#12", "GH-12", "https://", "www."] {
            assert!(!texts.contains(linked), "{linked}");
        }
        assert!(!texts.contains(char::is_control));
    }
}

#[test]
fn a_cell_is_cut_before_it_is_escaped() {
    let mut model = both()[1].clone();
    for length in 0..PLANTED.chars().count() {
        model.run.plan = format!("{}{PLANTED}", "x".repeat(length));
        let (structure, _) = read(&short(&model));
        assert!(
            structure.iter().all(|event| !event.contains("Html") && !event.contains("Link")),
            "{structure:?}"
        );
    }
}

#[test]
fn junit_has_the_elements_that_it_has_without_markup() {
    let nodes = |text: &str| -> Vec<String> {
        let document = roxmltree::Document::parse(text).expect("well-formed");
        let elements = document.descendants().filter(roxmltree::Node::is_element);
        elements
            .map(|node| {
                let names: Vec<&str> = node.attributes().map(|attribute| attribute.name()).collect();
                format!("{} {names:?}", node.tag_name().name())
            })
            .collect()
    };
    let [plain, planted] = both().map(|model| junit(&model, false));
    assert_eq!(nodes(&planted), nodes(&plain));
    assert!(planted.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn csv_has_the_cells_that_it_has_without_markup_and_none_is_a_formula() {
    let cells = |text: &str| -> Vec<Vec<String>> {
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
    };
    let [plain, planted] = both().map(|model| cells(&csv(&model)));
    let lengths = |rows: &[Vec<String>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&planted), lengths(&plain));
    for cell in planted.iter().flatten() {
        let number = cell.parse::<f64>().is_ok();
        assert!(number || !cell.trim_start().starts_with(['=', '+', '-', '@']), "{cell}");
    }
    assert!(planted.iter().flatten().any(|cell| cell.starts_with("'=1+1<script>")));
}

#[test]
fn the_terminal_gets_no_control_character_but_our_own() {
    let [_, planted] = both();
    let text = terminal(&planted, 100, false);
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
    assert!(!text.contains('\u{202e}') && text.contains("alert(1)"));
    let colored = terminal(&planted, 100, true);
    assert!(colored.contains("\u{1b}[1;31mFAIL\u{1b}[0m") || colored.contains("\u{1b}[1;33m"));
    for foreign in ["\u{1b}]", "\u{1b}[31m\u{fffd}", "\u{7}", "\u{9b}"] {
        assert!(!colored.contains(foreign), "{foreign:?}");
    }
}

#[test]
fn json_gives_every_text_back_as_it_was() {
    let [_, mut planted] = both();
    let read: ReportModel = serde_json::from_str(&json(&planted)).expect("JSON");
    planted.tests.iter_mut().for_each(|test| test.charts = Default::default());
    assert_eq!(read, planted);
}

/// Texts of the characters that mean something to one of the formats, and any others.
fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
    proptest::prop_oneof!["[|*_`\\[\\]()<>\\\\#~$&;:@!=+'\"\r\n\t /.a-z0-9-]{0,40}", "\\PC{0,20}"]
}

proptest::proptest! {
    #[test]
    fn whatever_the_text_it_is_only_text(text in hostile()) {
        let cell = |cell: &str| read(&format!("| a | b |\n| --- | --- |\n| {cell} | x |\n")).0;
        proptest::prop_assert_eq!(cell(&escape::markdown(&text)), cell("text"));
        let item = |item: &str| read(&format!("Begins: {item} ends.\n")).0;
        proptest::prop_assert_eq!(item(&escape::markdown(&text)), item("text"));
        let xml = format!("<a b=\"{}\"/>", escape::xml(&text));
        let document = roxmltree::Document::parse(&xml).expect("well-formed");
        let expected = escape::plain(&text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
        proptest::prop_assert_eq!(document.root_element().attribute("b"), Some(expected.as_str()));
    }
}
