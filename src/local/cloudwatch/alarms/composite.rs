//! The rule of a composite alarm: `ALARM("a") OR (NOT OK(b) AND TRUE)`.

use std::collections::BTreeMap;

use super::State;

/// Characters of a rule. API reference, PutCompositeAlarm: AlarmRule.
const LENGTH_MAX: usize = 10_240;
const DEPTH_MAX: usize = 40;

#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    Constant(bool),
    Is(State, String),
    Not(Box<Rule>),
    And(Vec<Rule>),
    Or(Vec<Rule>),
}

impl Rule {
    pub fn names<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Rule::Constant(_) => {}
            Rule::Is(_, name) => into.push(name),
            Rule::Not(inner) => inner.names(into),
            Rule::And(rules) | Rule::Or(rules) => rules.iter().for_each(|rule| rule.names(into)),
        }
    }

    /// An alarm that was deleted since counts as insufficient data.
    pub fn holds(&self, states: &BTreeMap<String, State>) -> bool {
        match self {
            Rule::Constant(value) => *value,
            Rule::Is(state, name) => states.get(name).copied().unwrap_or(State::InsufficientData) == *state,
            Rule::Not(inner) => !inner.holds(states),
            Rule::And(rules) => rules.iter().all(|rule| rule.holds(states)),
            Rule::Or(rules) => rules.iter().any(|rule| rule.holds(states)),
        }
    }
}

/// # Errors
/// What was found where another thing is due.
pub fn parse(text: &str) -> Result<Rule, String> {
    if text.len() > LENGTH_MAX {
        return Err(format!("it has more than {LENGTH_MAX} characters"));
    }
    let mut parser = Parser { rest: text.trim_start() };
    let rule = parser.any(0)?;
    if parser.rest.is_empty() { Ok(rule) } else { Err(format!("unexpected {:?}", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Rule, String> {
        let mut rules = vec![self.all(depth)?];
        while self.word("OR") {
            rules.push(self.all(depth)?);
        }
        Ok(if rules.len() == 1 { rules.remove(0) } else { Rule::Or(rules) })
    }

    fn all(&mut self, depth: usize) -> Result<Rule, String> {
        let mut rules = vec![self.one(depth)?];
        while self.word("AND") {
            rules.push(self.one(depth)?);
        }
        Ok(if rules.len() == 1 { rules.remove(0) } else { Rule::And(rules) })
    }

    fn one(&mut self, depth: usize) -> Result<Rule, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it nests deeper than {DEPTH_MAX}"));
        }
        if self.word("NOT") {
            return Ok(Rule::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.symbol('(') {
            let inner = self.any(depth + 1)?;
            return if self.symbol(')') { Ok(inner) } else { Err("a parenthesis is not closed".to_owned()) };
        }
        for (word, value) in [("TRUE", true), ("FALSE", false)] {
            if self.word(word) {
                return Ok(Rule::Constant(value));
            }
        }
        for state in [State::Alarm, State::Ok, State::InsufficientData] {
            if self.word(state.as_str()) {
                return Ok(Rule::Is(state, self.name()?));
            }
        }
        Err(format!("unexpected {:?}", self.rest))
    }

    /// `("a name")`, `('a name')`, `(name)`; a name may be an ARN.
    fn name(&mut self) -> Result<String, String> {
        if !self.symbol('(') {
            return Err("a '(' is due after the state".to_owned());
        }
        let quote = self.rest.chars().next().filter(|c| *c == '"' || *c == '\'');
        let name = match quote {
            Some(quote) => {
                let inner = &self.rest[1..];
                let end = inner.find(quote).ok_or("a quoted name does not end")?;
                self.rest = inner[end + 1..].trim_start();
                &inner[..end]
            }
            None => {
                let end = self.rest.find(')').ok_or("a name does not end")?;
                let name = self.rest[..end].trim();
                self.rest = &self.rest[end..];
                name
            }
        };
        if !self.symbol(')') {
            return Err("a ')' is due after the name".to_owned());
        }
        let name =
            if name.starts_with("arn:") { name.rsplit(":alarm:").next().unwrap_or(name) } else { name };
        if name.is_empty() { Err("a name is empty".to_owned()) } else { Ok(name.to_owned()) }
    }

    fn symbol(&mut self, symbol: char) -> bool {
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) if !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
                self.rest = rest.trim_start();
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_as_written() {
        let states: BTreeMap<String, State> = [("a", State::Alarm), ("b c", State::Ok)]
            .into_iter()
            .map(|(name, state)| (name.to_owned(), state))
            .collect();
        for (text, holds) in [
            ("ALARM(a)", true),
            ("ALARM(\"b c\") OR ALARM('a')", true),
            ("ALARM(a) AND NOT OK(\"b c\")", false),
            ("(ALARM(\"b c\") OR TRUE) AND FALSE", false),
            ("INSUFFICIENT_DATA(gone)", true),
            ("ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:a)", true),
        ] {
            assert_eq!(parse(text).unwrap().holds(&states), holds, "{text}");
        }
        for wrong in ["", "ALARM", "ALARM(", "ALARM(a) XOR OK(a)", "ALARM()", "(TRUE"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
