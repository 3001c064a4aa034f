//! Text from outside (names, errors, tags, answers of services) made harmless for each format. HTML is escaped by maud
//! as it is written, JSON by serde_json.

/// Where something follows that GitHub would turn into a link or a notification, this breaks the word unseen.
const BREAK: &str = "&#8203;";

/// On one line, and without what a terminal or a reader's eye could be fooled with: control characters (ANSI escape
/// sequences begin with one) and marks that reverse the direction of text. Those are shown as U+FFFD.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() => '\u{fffd}',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// For a paragraph or a table's cell of GitHub-flavoured Markdown: it ends no cell, starts no markup (tables, HTML,
/// links, formulas), and neither mentions anyone nor refers to an issue.
pub fn markdown(text: &str) -> String {
    let text = plain(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '\\' | '#' | '~' | '$' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
        // `@name`, `#12`, `https://`: the filters that link these run on the rendered text, where a backslash is gone.
        let linked = match character {
            '@' => rest.peek().is_some_and(|next| next.is_alphanumeric()),
            '#' => rest.peek().is_some_and(char::is_ascii_digit),
            ':' => rest.peek() == Some(&'/'),
            _ => false,
        };
        if linked {
            out.push_str(BREAK);
        }
    }
    without_references(&out)
}

/// `www.` and `GH-12` are links without any special character.
fn without_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['w', 'W', 'g', 'G']) {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let starts = |word: &str| here.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        let length = if starts("www.") || starts("gh-") { here.find(['.', '-']).unwrap_or(1) } else { 1 };
        out.push_str(&here[..length]);
        if length > 1 {
            out.push_str(BREAK);
        }
        rest = &here[length..];
    }
    out.push_str(rest);
    out
}

/// Text of a CSV cell: no spreadsheet takes it for a formula. One that begins as a formula does (after blanks, and in
/// full width, too) gets an apostrophe before it, as OWASP's page on CSV injection has it; a number stays as it is.
pub fn csv_cell(text: &str) -> String {
    let text = plain(text);
    let formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    if formula && text.parse::<rust_decimal::Decimal>().is_err() { format!("'{text}") } else { text }
}

/// For an attribute of XML 1.0 in double quotes.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in plain(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Characters that XML 1.0 does not have, beside the control characters that are gone already.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Changes each text of a JSON document, keys aside.
pub fn every_text(value: &mut serde_json::Value, change: &dyn Fn(&str) -> String) {
    use serde_json::Value;
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| every_text(item, change)),
        Value::Object(members) => members.values_mut().for_each(|member| every_text(member, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_moves_the_cursor_or_turns_the_line() {
        assert_eq!(plain("a\u{1b}[31mred\u{7}\nb\tc"), "a\u{fffd}[31mred\u{fffd} b c");
        assert_eq!(plain("\u{9b}31m \u{202e}txt.exe"), "\u{fffd}31m \u{fffd}txt.exe");
        assert_eq!(plain("Größe 1 → 2, 日本"), "Größe 1 → 2, 日本");
    }

    #[test]
    fn markdown_links_and_notifies_nobody() {
        assert_eq!(markdown("a|b*c_d`e"), "a\\|b\\*c\\_d\\`e");
        assert_eq!(markdown("<img> &lt;"), "\\<img\\> &amp;lt;");
        assert_eq!(
            markdown("@octocat me@example.org @ home"),
            "@&#8203;octocat me@&#8203;example.org @ home"
        );
        assert_eq!(markdown("#123 o/r#4 # x"), "\\#&#8203;123 o/r\\#&#8203;4 \\# x");
        assert_eq!(markdown("https://x WWW.x gh-12 grow"), "https:&#8203;//x WWW&#8203;.x gh&#8203;-12 grow");
        assert_eq!(markdown("~~a~~ $x$"), "\\~\\~a\\~\\~ \\$x\\$");
        // What runs and plans are made of stays readable.
        assert_eq!(markdown("10/s hold, 4:30, 1 -- 2"), "10/s hold, 4:30, 1 -- 2");
    }

    #[test]
    fn a_cell_is_no_formula() {
        for formula in ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u{ff1d}1", "\n=1", "-x"]
        {
            assert!(csv_cell(formula).starts_with('\''), "{formula:?}");
        }
        for harmless in ["10/s hold", "-5", "+1.5", "1=1", "", "0 -> 10/s ramp"] {
            assert_eq!(csv_cell(harmless), harmless);
        }
    }

    #[test]
    fn an_attribute_of_xml_ends_where_it_should() {
        assert_eq!(xml("a<b>&\"'\u{0}\u{ffff}"), "a&lt;b&gt;&amp;&quot;'\u{fffd}\u{fffd}");
    }
}
