//! A tree written as YAML again: what a plan with settings of its own is kept as. Comments are not in the tree.

use super::tree::{Kind, Member, Node, is_number};

/// The tree as YAML text that reads back as the same tree, positions aside.
pub(super) fn write(root: &Node) -> String {
    let mut text = block(root, 0);
    text.push('\n');
    text
}

/// Without a line feed at the end; the first line is not indented.
fn block(node: &Node, indent: usize) -> String {
    let lead = " ".repeat(indent);
    let lines: Vec<String> = match &node.kind {
        Kind::Scalar { text, plain, .. } => return scalar(node, text, *plain),
        Kind::Removed => return "null".to_owned(),
        Kind::Mapping(members) if members.is_empty() => return "{}".to_owned(),
        Kind::Sequence { elements, .. } if elements.is_empty() => return "[]".to_owned(),
        Kind::Mapping(members) => members.iter().map(|member| one_member(member, indent)).collect(),
        Kind::Sequence { elements, .. } => {
            elements.iter().map(|element| format!("- {}", block(&element.node, indent + 2))).collect()
        }
    };
    lines.join(&format!("\n{lead}"))
}

fn one_member(member: &Member, indent: usize) -> String {
    let is_nested = match &member.value.kind {
        Kind::Mapping(members) => !members.is_empty(),
        Kind::Sequence { elements, .. } => !elements.is_empty(),
        Kind::Scalar { .. } | Kind::Removed => false,
    };
    let separator = if is_nested { format!("\n{}", " ".repeat(indent + 2)) } else { " ".to_owned() };
    format!("{}:{separator}{}", key(&member.key), block(&member.value, indent + 2))
}

fn key(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { in_quotes(name) }
}

/// What is no text stays without quotes: they would make it one.
fn scalar(node: &Node, text: &str, plain: bool) -> String {
    let is_boolean = matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
    match plain {
        true if node.is_null() => "null".to_owned(),
        true if is_boolean || is_number(text) => text.to_owned(),
        _ => in_quotes(text),
    }
}

/// YAML 1.2.2, 5.7 "Escaped Characters": whatever is not plainly printable is escaped.
fn in_quotes(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() => out.push(c),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
