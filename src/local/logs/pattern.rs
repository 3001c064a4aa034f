//! Filter patterns of terms: `ERROR "exact phrase" -excluded`, or `?one ?another`.
//!
//! Source: CloudWatch Logs user guide, "Filter pattern syntax". Patterns for JSON, for space-delimited events
//! and regular expressions are refused: this endpoint's readers look for words.

/// Characters of a pattern. API reference, FilterLogEvents.
const PATTERN_MAX_CHARS: usize = 1_024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// All of them are in the message.
    included: Vec<String>,
    /// None of them is.
    excluded: Vec<String>,
    /// At least one of them is; ignored beside other terms.
    optional: Vec<String>,
}

impl Pattern {
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if text.chars().count() > PATTERN_MAX_CHARS {
            return Err(format!("a filter pattern has at most {PATTERN_MAX_CHARS} characters"));
        }
        let mut pattern = Pattern::default();
        let mut rest = text.trim();
        if let Some(kind) = rest.chars().next().filter(|first| matches!(first, '{' | '[' | '%')) {
            return Err(format!(
                "the local endpoint matches terms only, not patterns that begin with {kind}"
            ));
        }
        while !rest.is_empty() {
            let (list, term) = if let Some(term) = rest.strip_prefix('?') {
                (&mut pattern.optional, term)
            } else if let Some(term) = rest.strip_prefix('-') {
                (&mut pattern.excluded, term)
            } else {
                (&mut pattern.included, rest)
            };
            let (term, after) = if term.starts_with('"') { quoted(term)? } else { bare(term)? };
            list.push(term);
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    /// Case matters; a term may be part of a word.
    pub fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        if self.included.is_empty() && self.excluded.is_empty() {
            return self.optional.is_empty() || self.optional.iter().any(has);
        }
        self.included.iter().all(has) && !self.excluded.iter().any(has)
    }
}

fn bare(text: &str) -> Result<(String, &str), String> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (term, after) = text.split_at(end);
    if term.is_empty() || !term.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!("Invalid character(s) in term '{term}'"));
    }
    Ok((term.to_owned(), after))
}

/// From the opening quote; `\"` and `\\` stand for themselves.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut term = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((term, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => term.push(escaped),
                Some((_, other)) => term.extend(['\\', other]),
                None => break,
            },
            c => term.push(c),
        }
    }
    Err("a quoted term does not end".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGES: [&str; 4] = [
        "[ERROR 400] BAD REQUEST",
        "[ERROR 401] UNAUTHORIZED REQUEST",
        "[ERROR 419] MISSING ARGUMENTS",
        "[ERROR 420] INVALID ARGUMENTS",
    ];

    fn matched(pattern: &str) -> Vec<usize> {
        let pattern = Pattern::parse(pattern).unwrap();
        (0..MESSAGES.len()).filter(|at| pattern.matches(MESSAGES[*at])).collect()
    }

    /// The examples of the user guide.
    #[test]
    fn the_published_examples_match_what_they_should() {
        assert_eq!(matched(""), [0, 1, 2, 3]);
        assert_eq!(matched("ERROR"), [0, 1, 2, 3]);
        assert_eq!(matched("ERROR ARGUMENTS"), [2, 3]);
        assert_eq!(matched("?400 ?419"), [0, 2]);
        assert_eq!(matched("?ERROR ?INVALID REQUEST"), [0, 1]);
        assert_eq!(matched("\"INVALID ARGUMENTS\""), [3]);
        assert_eq!(matched("ERROR -ARGUMENTS"), [0, 1]);
        assert_eq!(matched("-\"BAD REQUEST\""), [1, 2, 3]);
        assert!(matched("error").is_empty());
    }

    #[test]
    fn what_is_no_pattern_of_terms_is_refused() {
        for pattern in
            ["{ $.a = 1 }", "[w1, w2]", "%re%", "\"open", "a.b", "-", "? x", "REPORT:", &"x".repeat(1_025)]
        {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::parse("\"a \\\"b\\\" \\\\\"").unwrap().matches("a \"b\" \\"));
    }

    proptest! {
        #[test]
        fn a_quoted_term_is_found_wherever_it_is(before in any::<String>(), term in "[^\\x00]{1,20}", after in any::<String>()) {
            let escaped = term.replace('\\', "\\\\").replace('"', "\\\"");
            let pattern = Pattern::parse(&format!("\"{escaped}\"")).unwrap();
            let message = format!("{before}{term}{after}");
            prop_assert!(pattern.matches(&message));
        }

        #[test]
        fn no_pattern_makes_it_panic(text in any::<String>()) {
            let _ = Pattern::parse(&text);
        }
    }
}
