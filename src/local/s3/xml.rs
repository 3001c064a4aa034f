//! The little XML that S3 speaks: elements and text. A reader for request bodies and a writer for answers.
//!
//! Attributes, comments and processing instructions are skipped; a document type is refused, so that no
//! entity but the predefined five can occur.

use std::fmt::Write as _;

/// Deepest nesting read. S3's own documents stay below ten.
const DEPTH_MAX: usize = 32;

/// An element: its local name, and its children or its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub children: Vec<Element>,
    /// Text directly inside, entities resolved.
    pub text: String,
}

/// Where reading stopped, in bytes from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub usize);

/// Reads a document; gives its root element.
///
/// # Errors
/// [`Malformed`] when it is not well-formed XML of the kind described above.
pub fn read(document: &str) -> Result<Element, Malformed> {
    let mut reader = Reader { document, at: 0 };
    reader.skip("\u{feff}");
    reader.skip_misc()?;
    let root = reader.element(0)?;
    reader.skip_misc()?;
    if reader.at == document.len() { Ok(root) } else { Err(Malformed(reader.at)) }
}

struct Reader<'a> {
    document: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.document[self.at..]
    }

    fn skip(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Malformed> {
        if self.skip(token) { Ok(()) } else { Err(Malformed(self.at)) }
    }

    /// Everything up to `end`, which is passed.
    fn until(&mut self, end: &str) -> Result<&'a str, Malformed> {
        let found = self.rest().find(end).ok_or(Malformed(self.at))?;
        let text = &self.rest()[..found];
        self.at += found + end.len();
        Ok(text)
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// White space, comments and processing instructions outside the root element.
    fn skip_misc(&mut self) -> Result<(), Malformed> {
        loop {
            self.skip_space();
            if self.skip("<?") {
                self.until("?>")?;
            } else if self.skip("<!--") {
                self.until("-->")?;
            } else {
                return Ok(());
            }
        }
    }

    fn name(&mut self) -> Result<&'a str, Malformed> {
        let is_end =
            |c: char| c.is_whitespace() || matches!(c, '>' | '/' | '=' | '<' | '!' | '&' | '"' | '\'');
        let length = self.rest().find(is_end).ok_or(Malformed(self.at))?;
        let name = &self.rest()[..length];
        if name.is_empty() {
            return Err(Malformed(self.at));
        }
        self.at += length;
        Ok(name)
    }

    fn element(&mut self, depth: usize) -> Result<Element, Malformed> {
        if depth == DEPTH_MAX {
            return Err(Malformed(self.at));
        }
        self.expect("<")?;
        let name = self.name()?;
        let mut element = Element { name: local(name).to_owned(), ..Element::default() };
        if self.attributes()? {
            return Ok(element);
        }
        loop {
            let text = self.rest().find('<').map(|end| &self.rest()[..end]).ok_or(Malformed(self.at))?;
            unescape(text, &mut element.text).map_err(|()| Malformed(self.at))?;
            self.at += text.len();
            if self.skip("</") {
                self.expect(name)?;
                self.skip_space();
                self.expect(">")?;
                return Ok(element);
            } else if self.skip("<!--") {
                self.until("-->")?;
            } else if self.skip("<![CDATA[") {
                element.text.push_str(self.until("]]>")?);
            } else if self.skip("<?") {
                self.until("?>")?;
            } else {
                element.children.push(self.element(depth + 1)?);
            }
        }
    }

    /// Passes the attributes and the end of a start tag; whether the element is empty (`/>`).
    fn attributes(&mut self) -> Result<bool, Malformed> {
        loop {
            self.skip_space();
            if self.skip("/>") {
                return Ok(true);
            }
            if self.skip(">") {
                return Ok(false);
            }
            self.name()?;
            self.skip_space();
            self.expect("=")?;
            self.skip_space();
            let quote = if self.skip("\"") {
                "\""
            } else {
                self.expect("'")?;
                "'"
            };
            self.until(quote)?;
        }
    }
}

/// Without its namespace prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn unescape(text: &str, into: &mut String) -> Result<(), ()> {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        into.push_str(&rest[..at]);
        let end = rest[at..].find(';').ok_or(())? + at;
        into.push(entity(&rest[at + 1..end]).ok_or(())?);
        rest = &rest[end + 1..];
    }
    into.push_str(rest);
    Ok(())
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Appends text so that a reader gets the same text back, also what XML would otherwise normalize (CR).
pub fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            // S3 answers control characters in keys as references too, though XML 1.0 knows only three of them.
            c if c.is_control() && !matches!(c, '\n' | '\t') => {
                let _ = write!(into, "&#x{:x};", u32::from(c));
            }
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_delete_request_of_an_sdk_is_read() {
        let root = read(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- c --><Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\
             <Object><Key>a &amp; b&#xD;</Key></Object><Quiet>true</Quiet><Empty /></Delete>\n",
        )
        .unwrap();
        assert_eq!(root.name, "Delete");
        assert_eq!(root.children[0].children[0].text, "a & b\r");
        assert_eq!(root.children[2].name, "Empty");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        let cases = [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "text",
            "<a>&nope;</a>",
            "<a>&amp</a>",
            "<a b></a>",
            "<a b='></a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "< a/>",
            "<a><![CDATA[x</a>",
        ];
        for case in cases {
            assert!(read(case).is_err(), "{case} was read");
        }
        let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
        assert!(read(&deep).is_err());
    }

    proptest! {
        #[test]
        fn text_survives_writing_and_reading(text in any::<String>()) {
            let mut document = String::from("<a>");
            escape(&text, &mut document);
            document.push_str("</a>");
            prop_assert_eq!(read(&document).unwrap().text, text);
        }

        #[test]
        fn no_document_makes_it_panic(document in "[<>/a&;=\"'! ?\\-\\[\\]é]{0,60}") {
            let _ = read(&document);
        }
    }
}
