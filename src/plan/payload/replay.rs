//! Records that are sent again: a JSON object a line, one after the other and then from the first again.

use bytes::Bytes;

use super::place::{EnvelopePath, Insertion, insertion};
use super::{Fault, Sizes};

/// The plan keeps the file in memory for as long as it runs.
pub(in crate::plan) const REPLAY_MAX_BYTES: usize = 32 * 1_048_576;
/// Lines that are wrong are told up to this many.
const FAULTS_MAX: usize = 20;

/// The lines of a file. Cloning shares the content.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    content: Bytes,
    lines: Vec<Line>,
    pub sizes: Sizes,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    from: u32,
    to: u32,
    insertion: Insertion,
}

/// A line, and where the envelope goes in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplayLine<'r> {
    pub text: &'r [u8],
    pub insertion: Insertion,
}

impl Replay {
    /// The lines of `text`, which is all or the end of `content`; or everything that is wrong with it. With its
    /// envelope of at most `envelope_bytes` a record may have `record_max` bytes.
    pub(super) fn new(
        content: &Bytes,
        text: &str,
        path: &EnvelopePath,
        envelope_bytes: usize,
        record_max: usize,
    ) -> Result<Replay, Vec<Fault>> {
        let (mut lines, mut faults, mut sizes) = (Vec::new(), Vec::new(), Sizes::none());
        // A byte order mark at the beginning is no part of the text.
        let mut from = content.len() - text.len();
        for line in text.split_inclusive('\n') {
            let begin = from;
            from += line.len();
            let record = line.trim_end();
            if record.is_empty() {
                continue;
            }
            let at = begin - (content.len() - text.len());
            match insertion(record, path) {
                Ok(insertion) => {
                    let bytes = record.len() + envelope_bytes + usize::from(insertion.comma);
                    if bytes > record_max {
                        let found = format!("a record of {bytes} bytes with its envelope");
                        let expected = format!("at most {record_max} bytes, as the stream takes them");
                        faults.push(Fault { at, found, expected });
                    }
                    sizes.add(bytes);
                    lines.push(Line { from: begin as u32, to: (begin + record.len()) as u32, insertion });
                }
                Err(unfit) => {
                    faults.push(Fault { at: at + unfit.at, found: unfit.found, expected: unfit.expected });
                }
            }
            if faults.len() == FAULTS_MAX {
                return Err(faults);
            }
        }
        if lines.is_empty() && faults.is_empty() {
            let (found, expected) = ("no record".to_owned(), "a JSON object a line".to_owned());
            faults.push(Fault { at: 0, found, expected });
        }
        if faults.is_empty() { Ok(Replay { content: content.clone(), lines, sizes }) } else { Err(faults) }
    }

    /// How many records there are before they begin again; at least one.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What record `k` of the test is.
    pub fn line(&self, k: u64) -> ReplayLine<'_> {
        let line = &self.lines[(k % self.lines.len() as u64) as usize];
        ReplayLine { text: &self.content[line.from as usize..line.to as usize], insertion: line.insertion }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, record_max: usize) -> Result<Replay, Vec<Fault>> {
        Replay::new(&Bytes::from(text.to_owned()), text, &EnvelopePath::default(), 97, record_max)
    }

    #[test]
    fn lines_go_round() {
        let replay = read("{\"a\":1}\r\n\n {\"b\":22}\n{}", 1_000).expect("three records");
        assert_eq!(replay.len(), 3);
        let text = |k| std::str::from_utf8(replay.line(k).text).unwrap();
        assert_eq!([text(0), text(1), text(2), text(3)], ["{\"a\":1}", " {\"b\":22}", "{}", "{\"a\":1}"]);
        assert_eq!(replay.line(1).insertion, Insertion { at: 2, comma: true });
        assert_eq!((replay.sizes.min, replay.sizes.max), (99, 107));
    }

    #[test]
    fn every_bad_line_is_told_and_none_is_sent() {
        let faults = read("{}\nnull\n{\"a\":}\n{\"sg\":1}\n", 1_000).expect_err("three are wrong");
        assert_eq!(faults.iter().map(|fault| fault.at).collect::<Vec<_>>(), [3, 13, 21]);
        assert_eq!(read("\n \n", 1_000).expect_err("empty")[0].found, "no record");
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
        assert!(read(&long, 206).is_ok());
        assert!(read(&long, 205).expect_err("too long")[0].found.contains("206 bytes"));
        assert_eq!(read(&"x\n".repeat(1_000), 1_000).expect_err("no JSON").len(), FAULTS_MAX);
    }
}
