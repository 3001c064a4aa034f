//! Filter patterns for unstructured events: CloudWatch Logs user guide, "Filter pattern syntax".
//! Terms are all required, `?terms` need one of them, `-terms` exclude. JSON patterns are refused.

/// A parsed pattern; the empty pattern matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    required: Vec<String>,
    optional: Vec<String>,
    excluded: Vec<String>,
}

impl Pattern {
    /// # Errors
    /// A structured pattern (`{...}`, `[...]`), a regular expression (`%...%`), or a quote without its end.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut pattern = Pattern::default();
        let mut rest = text.trim_start();
        if rest.starts_with(['{', '[', '%']) {
            return Err("the local endpoint filters by terms, not by structured patterns".to_owned());
        }
        while !rest.is_empty() {
            let (terms, after) = match rest.as_bytes()[0] {
                b'?' => (&mut pattern.optional, &rest[1..]),
                b'-' => (&mut pattern.excluded, &rest[1..]),
                _ => (&mut pattern.required, rest),
            };
            let (term, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("a quote has no end")?,
                None => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
            };
            if !term.is_empty() {
                terms.push(term.to_owned());
            }
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    pub fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        self.required.iter().all(has)
            && (self.optional.is_empty() || self.optional.iter().any(has))
            && !self.excluded.iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_work_as_the_user_guide_shows() {
        let matching = |pattern: &str, message: &str| Pattern::parse(pattern).unwrap().matches(message);
        // The guide's own examples.
        assert!(matching("ERROR", "[ERROR] 419 MISSING_ARGUMENTS"));
        assert!(!matching("ERROR", "[error] 419"));
        assert!(matching("ERROR ARGUMENTS", "[ERROR] 419 MISSING_ARGUMENTS"));
        assert!(!matching("ERROR ARGUMENTS", "[ERROR] 420 INVALID"));
        assert!(matching("?ERROR ?ARGUMENTS", "[ERROR] 420 INVALID"));
        assert!(matching("\"INTERNAL SERVER ERROR\"", "[ERROR 500] INTERNAL SERVER ERROR"));
        assert!(!matching("ERROR -EXITING", "[ERROR] EXITING"));
        assert!(matching("", "anything"));
        assert!(Pattern::parse("{ $.a = 1 }").is_err());
        assert!(Pattern::parse("\"open").is_err());
    }
}
