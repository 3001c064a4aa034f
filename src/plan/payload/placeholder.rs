//! The placeholders of a template: found, checked, written.

use std::io::Write;

use super::Fault;
use super::template::Facts;
use crate::plan::errors::nearest;

const HEX_MAX_DIGITS: u64 = 100_000;
const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
const NAMES: [&str; 10] =
    ["seq", "run", "due_us", "due_iso", "uuid", "random_int", "random_hex", "pick", "key", "pad"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    Seq,
    Run,
    DueUs,
    DueIso,
    Uuid,
    /// Both ends included.
    RandomInt(i64, i64),
    /// So many digits.
    RandomHex(u32),
    /// As they are written.
    Pick(Vec<Vec<u8>>),
    Key,
    Pad,
}

/// A placeholder in a text, from its first brace to behind its last.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub from: usize,
    pub to: usize,
    pub in_string: bool,
    pub what: Placeholder,
}

/// All placeholders of a text, in order, and what is wrong with the others.
pub(super) fn find(text: &str) -> (Vec<Found>, Vec<Fault>) {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    let bytes = text.as_bytes();
    let (mut at, mut in_string) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'{' if bytes.get(at + 1) == Some(&b'{') => {
                let Some(length) = end_of(&text[at + 2..]) else {
                    let expected = "`}}` behind it on the same line".to_owned();
                    faults.push(Fault { at, found: "`{{`".to_owned(), expected });
                    return (found, faults);
                };
                let to = at + 2 + length + 2;
                match read(&text[at + 2..to - 2], in_string) {
                    Ok(what) => found.push(Found { from: at, to, in_string, what }),
                    Err((found, expected)) => faults.push(Fault { at, found, expected }),
                }
                at = to;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    (found, faults)
}

/// Bytes up to the `}}` that closes a placeholder; one in quotes does not.
fn end_of(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'\n' => return None,
            b'"' => quoted = !quoted,
            b'}' if !quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// A placeholder from what stands between its braces; else what was found and what was expected.
fn read(inside: &str, in_string: bool) -> Result<Placeholder, (String, String)> {
    let inside = inside.trim();
    let (name, arguments) = match inside.split_once('(') {
        Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')')),
        None => (inside, Some("")),
    };
    let shown = format!("`{{{{{inside}}}}}`");
    let wrong = |expected: &str| (shown.clone(), expected.to_owned());
    let arguments = arguments.ok_or_else(|| wrong("`)` before the `}}`"))?;
    let plain = |what| if arguments.is_empty() { Ok(what) } else { Err(wrong("nothing in brackets")) };
    let what = match name {
        "seq" => plain(Placeholder::Seq),
        "run" => plain(Placeholder::Run),
        "due_us" => plain(Placeholder::DueUs),
        "due_iso" => plain(Placeholder::DueIso),
        "uuid" => plain(Placeholder::Uuid),
        "key" => plain(Placeholder::Key),
        "pad" => plain(Placeholder::Pad),
        "random_int" => int(arguments).ok_or_else(|| wrong("random_int(LOWEST,HIGHEST), whole numbers")),
        "random_hex" => hex(arguments).ok_or_else(|| wrong("random_hex(DIGITS), 1 to 100000")),
        "pick" => pick(arguments, in_string).ok_or_else(|| {
            wrong("pick(\"one\",\"another\"), texts without quotes in them; outside quotes each a JSON value")
        }),
        _ => {
            let near = nearest(name, NAMES.into_iter());
            let expected = match near.as_slice() {
                [] => format!("one of {}", NAMES.join(", ")),
                near => format!("a placeholder; the nearest: {}", near.join(", ")),
            };
            return Err((shown, expected));
        }
    }?;
    let is_number = matches!(
        what,
        Placeholder::Seq | Placeholder::DueUs | Placeholder::RandomInt(..) | Placeholder::Pick(_)
    );
    if in_string || is_number { Ok(what) } else { Err(wrong("quotes around it: its value is a text")) }
}

fn int(arguments: &str) -> Option<Placeholder> {
    let (low, high) = arguments.split_once(',')?;
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (low <= high).then_some(Placeholder::RandomInt(low, high))
}

fn hex(arguments: &str) -> Option<Placeholder> {
    let digits: u64 = arguments.trim().parse().ok()?;
    (1..=HEX_MAX_DIGITS).contains(&digits).then_some(Placeholder::RandomHex(digits as u32))
}

/// `"a","b"`. In a string each is written as JSON writes it there, elsewhere as it is.
fn pick(arguments: &str, in_string: bool) -> Option<Placeholder> {
    let mut choices = Vec::new();
    let mut rest = arguments.trim();
    loop {
        let (choice, behind) = rest.strip_prefix('"')?.split_once('"')?;
        choices.push(if in_string {
            let escaped = serde_json::Value::from(choice).to_string();
            escaped.as_bytes()[1..escaped.len() - 1].to_vec()
        } else {
            serde_json::from_str::<serde_json::Value>(choice).ok()?;
            choice.as_bytes().to_vec()
        });
        rest = behind.trim_start();
        if rest.is_empty() {
            return Some(Placeholder::Pick(choices));
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

/// The text with a value of the same length for each placeholder: JSON if, and only if, every record is.
pub(super) fn skeleton(text: &str, found: &[Found]) -> String {
    let mut skeleton = String::with_capacity(text.len());
    let mut at = 0;
    for one in found {
        skeleton.push_str(&text[at..one.from]);
        let length = one.to - one.from;
        if one.in_string {
            skeleton.extend(std::iter::repeat_n('x', length));
        } else {
            skeleton.push('0');
            skeleton.extend(std::iter::repeat_n(' ', length - 1));
        }
        at = one.to;
    }
    skeleton.push_str(&text[at..]);
    skeleton
}

/// Letters and digits.
pub(super) fn fill(out: &mut [u8], random: &mut fastrand::Rng) {
    for chunk in out.chunks_mut(10) {
        let mut bits = random.u64(..);
        for byte in chunk {
            *byte = LETTERS[(bits % 64) as usize];
            bits /= 64;
        }
    }
}

impl Placeholder {
    /// Of the longest value.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Placeholder::Seq => 20,
            Placeholder::Run => 20,
            Placeholder::DueUs => 16,
            Placeholder::DueIso => "2026-11-21T01:32:40.123456Z".len(),
            Placeholder::Uuid => 36,
            Placeholder::RandomInt(low, high) => low.to_string().len().max(high.to_string().len()),
            Placeholder::RandomHex(digits) => *digits as usize,
            Placeholder::Pick(choices) => choices.iter().map(Vec::len).max().unwrap_or(0),
            Placeholder::Key => crate::plan::PARTITION_KEY_BYTES,
            Placeholder::Pad => 0,
        }
    }

    /// Appends the value.
    pub(super) fn write(&self, facts: &Facts<'_>, random: &mut fastrand::Rng, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = match self {
            Placeholder::Seq => write!(out, "{}", facts.sequence),
            Placeholder::Run => out.write_all(facts.run.as_bytes()),
            Placeholder::DueUs => write!(out, "{}", facts.due_us),
            Placeholder::DueIso => {
                let due = jiff::Timestamp::from_microsecond(facts.due_us).unwrap_or_default();
                write!(out, "{due:.6}")
            }
            Placeholder::Uuid => write_uuid(random.u128(..), out),
            Placeholder::RandomInt(low, high) => write!(out, "{}", random.i64(low..=high)),
            Placeholder::RandomHex(digits) => write_hex(*digits as usize, random, out),
            Placeholder::Pick(choices) => out.write_all(&choices[random.usize(..choices.len())]),
            Placeholder::Key => out.write_all(facts.key.as_bytes()),
            Placeholder::Pad => Ok(()),
        };
    }
}

/// Version 4, variant 1 (RFC 9562, section 5.4).
fn write_uuid(bits: u128, out: &mut Vec<u8>) -> std::io::Result<()> {
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0b11 << 62) | (0b10 << 62);
    let field = |shift: u32, width: u32| (bits >> shift) & ((1 << width) - 1);
    write!(
        out,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        field(96, 32),
        field(80, 16),
        field(64, 16),
        field(48, 16),
        field(0, 48)
    )
}

fn write_hex(digits: usize, random: &mut fastrand::Rng, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut left = digits;
    while left > 0 {
        let part = left.min(16);
        let text = format!("{:016x}", random.u64(..));
        out.extend_from_slice(&text.as_bytes()[..part]);
        left -= part;
    }
    Ok(())
}
