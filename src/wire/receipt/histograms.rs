//! Histograms on the wire: HdrHistogram V2 with zlib deflate, base64, as every HdrHistogram library reads
//! and writes them. What comes in is checked before a histogram is allocated for it.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

/// Longest latency told apart: 2^45 microseconds, just over the longest retention of a stream (365 days).
pub const HISTOGRAM_MAX_US: u64 = 1 << 45;

const SIGNIFICANT_DIGITS: u8 = 3;
/// Cookies as in the HdrHistogram reference implementation (`EncodableHistogram`), word size bits masked off.
const V2_COOKIE: u32 = 0x1c84_9303;
const V2_DEFLATE_COOKIE: u32 = 0x1c84_9304;
const WORD_SIZE_MASK: u32 = 0xf0;
/// Cookie, payload length, normalizing offset, digits, lowest, highest, ratio.
const V2_HEADER_BYTES: usize = 4 + 4 + 4 + 4 + 8 + 8 + 8;
/// A full counts array at three digits up to 2^45 has 36,864 slots of at most 9 bytes.
const INFLATED_MAX_BYTES: usize = V2_HEADER_BYTES + 36_864 * 9;
/// Bounds each count and the length of a run of zeros, so that no sum of them can overflow.
const COUNT_MAX: i64 = 1 << 40;

/// Makes what [`V2DeflateSerializer`](hdrhistogram::serialization::V2DeflateSerializer) makes, with one compressor for
/// all of it. That one makes a compressor of 380 KB for each histogram, and each left a hole in the function's heap:
/// behind it lay the trace id that the Lambda runtime sets as a variable for every invocation and that glibc never frees
/// (setenv(3)). The function grew by half a megabyte a second.
struct Encoder {
    serializer: V2Serializer,
    compress: Compress,
    plain: Vec<u8>,
}

/// The cookie has the word size in it, 1 for all of V2's variable-length counts.
const V2_DEFLATE_WRITTEN: u32 = V2_DEFLATE_COOKIE | 0x10;
/// What zlib may add to data that does not compress: 5 bytes a block of 16 KB, header and checksum.
const ZLIB_SPARE_BYTES: usize = 256;

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder {
        serializer: V2Serializer::new(),
        compress: Compress::new(Compression::default(), true),
        plain: Vec::new(),
    });
}

impl Encoder {
    fn encode(&mut self, histogram: &Histogram<u64>) -> Vec<u8> {
        self.plain.clear();
        self.serializer
            .serialize(histogram, &mut self.plain)
            .expect("writing to a vector cannot fail, and our counts are below 2^63");
        self.compress.reset();
        let mut bytes = V2_DEFLATE_WRITTEN.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 4]);
        bytes.reserve(self.plain.len() + ZLIB_SPARE_BYTES);
        let status = self.compress.compress_vec(&self.plain, &mut bytes, FlushCompress::Finish);
        assert_eq!(status.ok(), Some(Status::StreamEnd), "there is room for all of it");
        let length = u32::try_from(bytes.len() - 8).expect("a histogram is far below 4 GiB");
        bytes[4..8].copy_from_slice(&length.to_be_bytes());
        bytes
    }
}

pub(super) fn empty() -> Histogram<u64> {
    let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are within 0..=5");
    histogram.auto(true);
    histogram
}

/// Base64 of V2 deflate; the empty text for an empty histogram.
pub(super) fn encode(histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return String::new();
    }
    STANDARD.encode(ENCODER.with_borrow_mut(|encoder| encoder.encode(histogram)))
}

/// Reads base64 of HdrHistogram V2, deflated or not; what it allocates is bounded.
///
/// # Errors
/// Why the text is not such a histogram.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    if text.is_empty() {
        return Ok(empty());
    }
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut histogram: Histogram<u64> = inflate(&bytes, |inflated| {
        check(inflated)?;
        Deserializer::new().deserialize(&mut &*inflated).map_err(|error| error.to_string())
    })?;
    histogram.auto(true);
    Ok(histogram)
}

/// What stands before the counts, as far as values are told from it.
pub(super) struct HistogramHeader {
    pub digits: u32,
    pub lowest: u64,
}

/// Gives `read` the header and the encoded counts of a histogram, checked.
pub(super) fn inflated<T>(
    text: &str,
    read: impl FnOnce(&HistogramHeader, &[u8]) -> Result<T, String>,
) -> Result<T, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    inflate(&bytes, |inflated| {
        let header = check(inflated)?;
        read(&header, &inflated[V2_HEADER_BYTES..])
    })
}

thread_local! {
    /// One decompressor and its room for all histograms of a thread: a report reads hundreds of thousands.
    static DECODER: RefCell<(Decompress, Vec<u8>)> = RefCell::new((Decompress::new(true), Vec::new()));
}

fn inflate<T>(bytes: &[u8], read: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let (cookie, _) = split_u32(bytes).ok_or("cut short")?;
    if cookie & !WORD_SIZE_MASK == V2_COOKIE & !WORD_SIZE_MASK {
        return read(bytes);
    }
    if cookie & !WORD_SIZE_MASK != V2_DEFLATE_COOKIE & !WORD_SIZE_MASK {
        return Err(format!("cookie {cookie:#x} is not HdrHistogram V2"));
    }
    let deflated = bytes.get(8..).ok_or("cut short")?;
    DECODER.with_borrow_mut(|(decompress, inflated)| {
        decompress.reset(true);
        // Made once: a vector that grows into its capacity would be cleared for every histogram.
        inflated.resize(INFLATED_MAX_BYTES + 1, 0);
        let status = decompress.decompress(deflated, inflated, FlushDecompress::Finish);
        let length = decompress.total_out() as usize;
        if length > INFLATED_MAX_BYTES {
            return Err(format!("inflates to more than {INFLATED_MAX_BYTES} bytes"));
        }
        match status.map_err(|error| error.to_string())? {
            Status::StreamEnd => read(&inflated[..length]),
            Status::Ok | Status::BufError => Err("the deflated part is cut short".to_owned()),
        }
    })
}

/// Refuses whatever would make the library allocate much or overflow.
fn check(inflated: &[u8]) -> Result<HistogramHeader, String> {
    let (header, counts) = inflated.split_at_checked(V2_HEADER_BYTES).ok_or("cut short")?;
    let word = |at: usize| split_u32(&header[at..]).map_or(0, |(word, _)| word);
    let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    let (payload_bytes, digits, highest) = (word(4) as usize, word(12), long(24));
    if digits > u32::from(SIGNIFICANT_DIGITS) {
        return Err(format!("{digits} significant digits, at most {SIGNIFICANT_DIGITS} are taken"));
    }
    if highest > HISTOGRAM_MAX_US * 2 {
        return Err(format!("highest value {highest} is beyond {HISTOGRAM_MAX_US}"));
    }
    if payload_bytes != counts.len() {
        return Err(format!("{payload_bytes} bytes of counts announced, {} there", counts.len()));
    }
    let mut rest = counts;
    while !rest.is_empty() {
        let (count, after) = split_leb128_9(rest).ok_or("a count is cut short")?;
        if !(-COUNT_MAX..=COUNT_MAX).contains(&count) {
            return Err(format!("count {count} is out of range"));
        }
        rest = after;
    }
    Ok(HistogramHeader { digits, lowest: long(16) })
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*head), rest))
}

/// HdrHistogram's ZigZag LEB128-64b9B: seven bits a byte, the ninth byte whole.
pub(super) fn split_leb128_9(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            value |= u64::from(*byte) << 56;
        } else {
            value |= u64::from(byte & 0x7f) << (7 * index);
        }
        if index == 8 || byte & 0x80 == 0 {
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::V2DeflateSerializer;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::receipt::record_us;

    #[test]
    fn a_hostile_histogram_is_refused_before_it_is_allocated() {
        let mut histogram = empty();
        histogram.record(5).expect("grows");
        let good = STANDARD.decode(encode(&histogram)).expect("base64");
        let inflated = inflate(&good, |inflated| Ok(inflated.to_vec())).expect("ours");
        check(&inflated).expect("ours");

        let mut wide = inflated.clone();
        wide[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
        assert!(decode(&STANDARD.encode(&wide)).unwrap_err().contains("highest"));
        let mut fine = inflated.clone();
        fine[12..16].copy_from_slice(&5u32.to_be_bytes());
        assert!(decode(&STANDARD.encode(&fine)).unwrap_err().contains("digits"));
        // i64::MIN as a run of zeros: negating it would overflow.
        let mut zeros = inflated[..V2_HEADER_BYTES].to_vec();
        zeros[4..8].copy_from_slice(&9u32.to_be_bytes());
        zeros.extend_from_slice(&[0xff; 9]);
        assert!(decode(&STANDARD.encode(&zeros)).unwrap_err().contains("out of range"));
    }

    #[test]
    fn a_deflate_bomb_is_refused() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![0; 100_000_000]).expect("to a vector");
        let mut bytes = V2_DEFLATE_COOKIE.to_be_bytes().to_vec();
        let deflated = encoder.finish().expect("to a vector");
        bytes.extend_from_slice(&(deflated.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&deflated);
        assert!(decode(&STANDARD.encode(bytes)).unwrap_err().contains("inflates"));
    }

    /// The library's own serializer is the reference.
    #[test]
    fn what_is_written_is_what_the_library_writes() {
        for values in [vec![1_u64], vec![5, 5, 900, 1_000_000], (0..5_000).map(|i| i * i).collect()] {
            let mut histogram = empty();
            values.iter().for_each(|value| record_us(&mut histogram, *value as i64));
            let mut theirs = Vec::new();
            V2DeflateSerializer::new().serialize(&histogram, &mut theirs).expect("writes");
            assert_eq!(STANDARD.decode(encode(&histogram)).expect("base64"), theirs);
        }
    }

    proptest! {
        #[test]
        fn comes_back_with_every_count(latencies_us in prop::collection::vec(any::<i64>(), 0..50)) {
            let mut histogram = empty();
            for latency_us in &latencies_us {
                record_us(&mut histogram, *latency_us);
            }
            let back = decode(&encode(&histogram)).expect("ours");
            prop_assert_eq!(back.len(), latencies_us.len() as u64);
            prop_assert_eq!(back, histogram);
        }

        #[test]
        fn never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut histogram = empty();
            for latency_us in [1, 50, 3_000, 70_000_000] {
                record_us(&mut histogram, latency_us);
            }
            let good = STANDARD.decode(encode(&histogram)).expect("base64");
            let mut bytes = inflate(&good, |inflated| Ok(inflated.to_vec())).expect("ours");
            for (index, value) in flips {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            let _ = decode(&STANDARD.encode(bytes));
        }
    }
}
