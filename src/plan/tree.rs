//! The plan's text as a tree of nodes that know their position, built from the parser's events. Bounded:
//! depth and number of nodes are capped, and aliases are refused (a few of them can stand for billions of nodes).

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::errors::{PlanError, ROOT, quoted};
use super::model::Position;

/// A plan is nested seven deep.
const DEPTH_MAX: usize = 32;
/// The largest plan that is allowed, 999 stages with every key, has a tenth of this.
const NODES_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) struct Node {
    pub position: Position,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `plain`: without quotes, so that it may be a number, a boolean or nothing. `literal`: its characters
    /// stand in the text one after the other, so that a position inside it can be told.
    Scalar {
        text: String,
        plain: bool,
        literal: bool,
    },
    Sequence {
        elements: Vec<Element>,
        some_removed: bool,
    },
    Mapping(Vec<Member>),
    /// Already reported as wrong; to be passed over.
    Removed,
}

/// `index`: the one in the text, whatever was removed before it.
#[derive(Debug)]
pub(super) struct Element {
    pub index: usize,
    pub node: Node,
}

#[derive(Debug)]
pub(super) struct Member {
    pub key: String,
    pub key_position: Position,
    pub value: Node,
}

impl Node {
    /// Empty, `~` or `null`: the same as not given.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, plain: true, .. } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// As an error shows what was found.
    pub fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, plain: true, .. } if is_number(text) => format!("the number {text}"),
            Kind::Scalar { text, .. } => quoted(text),
            Kind::Sequence { elements, .. } if elements.is_empty() => "an empty list".to_owned(),
            Kind::Sequence { .. } => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
            Kind::Removed => "an error".to_owned(),
        }
    }
}

/// A number as the YAML 1.2 core schema writes it in decimal.
pub(super) fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_like_one = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || unsigned.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    starts_like_one && text.parse::<f64>().is_ok() || is_special_float(text)
}

fn is_special_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// The value of a number that [`is_number`] accepts.
pub(super) fn number(text: &str) -> Option<f64> {
    if !is_number(text) {
        None
    } else if !is_special_float(text) {
        text.parse().ok()
    } else if text.to_ascii_lowercase().contains("nan") {
        Some(f64::NAN)
    } else if text.starts_with('-') {
        Some(f64::NEG_INFINITY)
    } else {
        Some(f64::INFINITY)
    }
}

/// The tree, with the errors that leave the rest readable (duplicate keys); or what ended the reading.
pub(super) fn build(text: &str) -> Result<(Node, Vec<PlanError>), Vec<PlanError>> {
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str(text),
        chars: text.chars().collect(),
        nodes: 0,
        path: Vec::new(),
        errors: Vec::new(),
    };
    match builder.document() {
        Ok(root) => Ok((root, builder.errors)),
        Err(fatal) => {
            builder.errors.push(*fatal);
            Err(builder.errors)
        }
    }
}

type Fatal = Box<PlanError>;

struct Builder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    chars: Vec<char>,
    nodes: usize,
    path: Vec<String>,
    errors: Vec<PlanError>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Fatal> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => return Err(self.error(&span, "an empty text", "a plan")),
                other => {
                    let root = self.node(other, span)?;
                    self.end_of_document()?;
                    return Ok(root);
                }
            }
        }
    }

    fn end_of_document(&mut self) -> Result<(), Fatal> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) => {
                    return Err(self.error(&span, "a second document", "one plan in a file"));
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fatal> {
        match self.parser.next_event() {
            Some(Ok(read)) => Ok(read),
            Some(Err(scan)) => {
                let found = format!("text that is not YAML ({})", scan.info());
                let mut error = self.error(&Span::empty(*scan.marker()), &found, "valid YAML");
                if scan.info().contains("tab")
                    && let Some(tab) = tab_in_indentation(self.text, scan.marker().line())
                {
                    error.position = tab;
                    error.expected = "spaces: YAML does not indent with tabs".to_owned();
                }
                Err(error)
            }
            None => Err(self.error(&Span::default(), "an unexpected end", "valid YAML")),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Fatal> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let expected = format!("a plan of at most {NODES_MAX} values");
            return Err(self.error(&span, "more values", &expected));
        }
        if self.path.len() > DEPTH_MAX {
            return Err(self.error(
                &span,
                "deeper nesting",
                &format!("at most {DEPTH_MAX} levels of nesting"),
            ));
        }
        let position = position(&span);
        let kind = match event {
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag)) => {
                return Err(self.error(&span, &format!("the tag {}", quoted(&tag.to_string())), "no tags"));
            }
            Event::Scalar(text, style, _, None) => {
                let plain = style == ScalarStyle::Plain;
                let literal = self.is_literal(&text, style, &span);
                Kind::Scalar { text: text.into_owned(), plain, literal }
            }
            Event::SequenceStart(..) => self.sequence()?,
            Event::MappingStart(..) => self.mapping()?,
            Event::Alias(_) => return Err(self.error(&span, "an alias", "the value itself")),
            _ => return Err(self.error(&span, "an unexpected end", "a value")),
        };
        Ok(Node { position, kind })
    }

    fn sequence(&mut self) -> Result<Kind, Fatal> {
        let mut elements = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Kind::Sequence { elements, some_removed: false });
            }
            let index = elements.len();
            self.path.push(format!("[{index}]"));
            let node = self.node(event, span)?;
            self.path.pop();
            elements.push(Element { index, node });
        }
    }

    fn mapping(&mut self) -> Result<Kind, Fatal> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Kind::Mapping(members)),
                Event::Scalar(text, _, _, None) => text.into_owned(),
                _ => return Err(self.error(&span, "a key that is not a plain name", "a name")),
            };
            let key_position = position(&span);
            let separator = if self.path.is_empty() { "" } else { "." };
            let shown: String = key.chars().take(60).collect();
            self.path.push(format!("{separator}{shown}"));
            if !seen.insert(key.clone()) {
                let duplicate =
                    self.error(&span, &format!("the key {} again", quoted(&key)), "each key once");
                self.errors.push(*duplicate);
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            self.path.pop();
            if seen.len() > members.len() {
                members.push(Member { key, key_position, value });
            }
        }
    }

    /// Whether the scalar's characters stand in the text as they are: not folded, not escaped.
    fn is_literal(&self, text: &str, style: ScalarStyle, span: &Span) -> bool {
        let quote = match style {
            ScalarStyle::Plain => 0,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
            ScalarStyle::Literal | ScalarStyle::Folded => return false,
        };
        let written = self.chars.iter().skip(span.start.index() + quote);
        text.chars().zip(written).all(|(read, written)| read == *written && read != '\n')
    }

    fn error(&self, span: &Span, found: &str, expected: &str) -> Fatal {
        let field = if self.path.is_empty() { ROOT.to_owned() } else { self.path.concat() };
        Box::new(PlanError {
            file: None,
            position: position(span),
            field,
            found: found.to_owned(),
            expected: expected.to_owned(),
        })
    }
}

/// The first tab that indents a line, from `line` on: the parser points at what the tab follows.
fn tab_in_indentation(text: &str, line: usize) -> Option<Position> {
    text.lines().enumerate().skip(line.saturating_sub(1)).find_map(|(i, line)| {
        let indentation = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let column = indentation.find('\t')? + 1;
        Some(Position { line: i + 1, column })
    })
}

/// The parser counts columns from 0.
fn position(span: &Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}
