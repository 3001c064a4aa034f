//! Where in a JSON text the envelope goes: the plan names the path of the member, and the text has the object
//! that holds it.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Members of a path, and characters of each: no record is nested deeper than somebody can read.
const DEPTH_MAX: usize = 8;
const MEMBER_MAX_CHARS: usize = 64;

/// The path of the envelope in a record: `$.sg`, `$.meta.trace`. Members of objects only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvelopePath {
    members: Vec<String>,
}

pub(in crate::plan) const PATH_EXPECTED: &str = "a path of members such as $.meta.trace: up to 8 names, each 1 to 64 \
                                                 letters, digits, _ or -, and no list on the way";

impl EnvelopePath {
    /// Name of the envelope's member, and of the objects around it, outermost first.
    pub fn member(&self) -> &str {
        self.members.last().map_or("", String::as_str)
    }

    pub fn parents(&self) -> &[String] {
        &self.members[..self.members.len().saturating_sub(1)]
    }

    /// `$.sg`: what every reader looks for first.
    pub fn is_default(&self) -> bool {
        self.members == ["sg"]
    }
}

impl Default for EnvelopePath {
    fn default() -> EnvelopePath {
        EnvelopePath { members: vec!["sg".to_owned()] }
    }
}

impl fmt::Display for EnvelopePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$.{}", self.members.join("."))
    }
}

impl FromStr for EnvelopePath {
    type Err = ();

    fn from_str(text: &str) -> Result<EnvelopePath, ()> {
        let members: Vec<String> = text.strip_prefix("$.").ok_or(())?.split('.').map(str::to_owned).collect();
        let is_name = |name: &String| {
            (1..=MEMBER_MAX_CHARS).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        let is_path = members.len() <= DEPTH_MAX && members.iter().all(is_name);
        if is_path { Ok(EnvelopePath { members }) } else { Err(()) }
    }
}

/// Where the envelope's member goes in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// In bytes: behind the opening brace of the object that holds it.
    pub at: usize,
    /// The object has other members: a comma comes behind the envelope.
    pub comma: bool,
}

/// Why a text can take no envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// In bytes.
    pub at: usize,
    pub found: String,
    pub expected: String,
}

/// The place for the envelope in `text`, which must be one JSON object.
pub(super) fn insertion(text: &str, path: &EnvelopePath) -> Result<Insertion, Unfit> {
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or(&said);
        let found = format!("text that is no JSON ({what})");
        return Err(Unfit {
            at: offset(text, error.line(), error.column()),
            found,
            expected: "a JSON object".into(),
        });
    }
    let mut scan = Scan { text: text.as_bytes(), at: 0 };
    scan.object("the record")?;
    for parent in path.parents() {
        let begin = scan.at;
        if !scan.find_member(parent) {
            let found = format!("no member `{parent}`");
            let expected = format!("an object there for the envelope at {path}");
            return Err(Unfit { at: begin, found, expected });
        }
        scan.object(parent)?;
    }
    let at = scan.at;
    scan.spaces();
    let comma = scan.peek() != Some(b'}');
    scan.at = at;
    if scan.find_member(path.member()) {
        let found = format!("a member `{}` already", path.member());
        let expected = "another path for the envelope (`envelope:`)".to_owned();
        return Err(Unfit { at: scan.at, found, expected });
    }
    Ok(Insertion { at, comma })
}

/// Serde counts lines from 1 and the bytes of a line from 1, 0 at its very beginning.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// Walks over a text that is known to be JSON.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Behind the brace of the object that begins here.
    fn object(&mut self, name: &str) -> Result<(), Unfit> {
        self.spaces();
        if self.peek() == Some(b'{') {
            self.at += 1;
            return Ok(());
        }
        let found = format!("something else than an object as {name}");
        Err(Unfit { at: self.at, found, expected: "a JSON object".to_owned() })
    }

    /// From behind an object's brace to the value of its first member of this name; at its end where it has none.
    fn find_member(&mut self, name: &str) -> bool {
        loop {
            self.spaces();
            if self.peek() != Some(b'"') {
                return false;
            }
            let key_at = self.at;
            self.value();
            let key: Option<String> = serde_json::from_slice(&self.text[key_at..self.at]).ok();
            self.spaces();
            self.at += 1; // The colon.
            self.spaces();
            if key.as_deref() == Some(name) {
                return true;
            }
            self.value();
            self.spaces();
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
    }

    /// Over one value: a text, what is in brackets, or up to what ends a number or a word.
    fn value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.text_value(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if depth == 0 => return,
                _ if depth == 0 && byte.is_ascii_whitespace() => return,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn text_value(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> EnvelopePath {
        text.parse().expect("a path")
    }

    #[test]
    fn paths_are_members_only() {
        assert!(path("$.sg").is_default());
        assert_eq!(path("$.a.b-c.d_1").parents(), ["a", "b-c"]);
        assert_eq!(path("$.a.b").to_string(), "$.a.b");
        for text in ["", "$", "$.", "sg", "$.a..b", "$.a[0]", "$.a b", "$.é", "$.a.b.c.d.e.f.g.h.i", "$..a"]
        {
            assert!(text.parse::<EnvelopePath>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_place_is_behind_the_brace_of_the_object_that_holds_it() {
        for (text, at, comma) in [
            (r#"{"x":1}"#, "{", true),
            ("  { } ", "  {", false),
            (r#"{"a":[{"meta":1}],"n":-1.5e3,"t":"}\"{", "meta" : { "k" : {} } }"#, r#""meta" : {"#, true),
            (r#"{"m\u0065ta":{}}"#, r#"ta":{"#, false),
        ] {
            let wanted = path(if text.contains("ta\"") { "$.meta.trace" } else { "$.sg" });
            let found = insertion(text, &wanted).unwrap_or_else(|unfit| panic!("{text}: {unfit:?}"));
            assert!(text[..found.at].ends_with(at), "{text}: {found:?}");
            assert_eq!(found.comma, comma, "{text}");
        }
    }

    #[test]
    fn what_can_take_no_envelope_says_why() {
        for (text, at, why) in [
            (r#"{"x":}"#, 5, "no JSON (expected value)"),
            ("[1]", 0, "something else than an object as the record"),
            ("{}", 1, "no member `meta`"),
            (r#"{"meta":[]}"#, 8, "something else than an object as meta"),
            (r#"{"meta":{"a":1,"trace":2}}"#, 23, "a member `trace` already"),
            ("", 0, "no JSON"),
            ("{}{}", 2, "no JSON (trailing characters)"),
        ] {
            let unfit = insertion(text, &path("$.meta.trace")).expect_err(text);
            assert_eq!((unfit.at, unfit.found.contains(why)), (at, true), "{text}: {unfit:?}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(serde_json::Value::from),
            "[a-c\\\\\"{}\\[\\],: é]{0,6}".prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("(a|b|c|\"|é)", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What is put in stands where the path says, and everything else is as it was.
        #[test]
        fn what_is_put_in_is_found_again(mut value in json(), pretty: bool, deep: bool) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let path = path(if deep { "$.a.b.sg" } else { "$.sg" });
            match insertion(&text, &path) {
                Ok(Insertion { at, comma }) => {
                    let member = if comma { "\"sg\":7," } else { "\"sg\":7" };
                    let whole = format!("{}{member}{}", &text[..at], &text[at..]);
                    let read: serde_json::Value = serde_json::from_str(&whole).unwrap();
                    let holder = if deep { &mut value["a"]["b"] } else { &mut value };
                    holder["sg"] = 7.into();
                    prop_assert_eq!(read, value);
                }
                Err(_) => {
                    let holder = if deep { value.pointer("/a/b") } else { Some(&value) };
                    prop_assert!(!holder.is_some_and(serde_json::Value::is_object), "{}", text);
                }
            }
        }

        #[test]
        fn any_text_is_answered(text in "[ -~\\n]{0,60}") {
            let _ = insertion(&text, &EnvelopePath::default());
        }
    }
}
