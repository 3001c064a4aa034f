//! Checksums that clients send with objects: kept and given back, and verified where this build can compute
//! the algorithm (CRC32, SHA-256, MD5). CRC32C, CRC64NVME and SHA-1 are given back as they came.
//!
//! Source: S3 user guide, "Checking object integrity for data uploads".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::error;
use crate::local::service::ApiError;

/// A checksum algorithm of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32C,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Crc32, Algorithm::Crc32C, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

    /// As in `x-amz-checksum-algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32C => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    pub fn named(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// `x-amz-checksum-crc32`.
    pub fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    /// `ChecksumCRC32`.
    pub fn member(self) -> String {
        format!("Checksum{}", self.name())
    }

    /// The raw checksum of `parts`, one after the other; `None` for what this build cannot compute.
    fn compute<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
        match self {
            Algorithm::Crc32 => {
                let mut crc = flate2::Crc::new();
                parts.into_iter().for_each(|part| crc.update(part));
                Some(crc.sum().to_be_bytes().to_vec())
            }
            Algorithm::Sha256 => {
                let mut sha = Sha256::new();
                parts.into_iter().for_each(|part| sha.update(part));
                Some(sha.finalize().to_vec())
            }
            Algorithm::Crc32C | Algorithm::Crc64Nvme | Algorithm::Sha1 => None,
        }
    }
}

/// A checksum in base64; a composite one of a multipart upload ends in `-<parts>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: Algorithm,
    pub value: String,
}

impl Checksum {
    /// `FULL_OBJECT`, or `COMPOSITE`: the checksum of the parts' checksums.
    pub fn kind(&self) -> &'static str {
        if self.value.contains('-') { "COMPOSITE" } else { "FULL_OBJECT" }
    }

    /// # Errors
    /// `BadDigest` when the body has another checksum.
    pub fn verify(&self, body: &[u8]) -> Result<(), ApiError> {
        match self.algorithm.compute([body]) {
            Some(computed) if BASE64.encode(&computed) != self.value => Err(ApiError::invalid(
                "BadDigest",
                format!("The {} you specified did not match the calculated checksum.", self.algorithm.name()),
            )),
            _ => Ok(()),
        }
    }

    /// The checksum of a multipart object: over all bytes, or over the parts' checksums. `None` when this
    /// build cannot compute it, or when parts came without theirs.
    pub fn of_parts(
        algorithm: Algorithm,
        full: bool,
        parts: &[(&Bytes, Option<&Checksum>)],
    ) -> Option<Checksum> {
        if full {
            let computed = algorithm.compute(parts.iter().map(|(body, _)| body.as_ref()))?;
            return Some(Checksum { algorithm, value: BASE64.encode(computed) });
        }
        let of_each: Option<Vec<Vec<u8>>> = parts
            .iter()
            .map(|(_, checksum)| {
                BASE64.decode(&checksum.filter(|sum| sum.algorithm == algorithm)?.value).ok()
            })
            .collect();
        let of_each = of_each?;
        let computed = algorithm.compute(of_each.iter().map(Vec::as_slice))?;
        Some(Checksum { algorithm, value: format!("{}-{}", BASE64.encode(computed), parts.len()) })
    }
}

/// # Errors
/// `InvalidDigest` when `expected` is no MD5 in base64, `BadDigest` when the body has another.
pub fn verify_md5(body: &[u8], expected: &str) -> Result<(), ApiError> {
    let message = "The Content-MD5 you specified is not valid.";
    let expected = BASE64.decode(expected).ok().filter(|md5| md5.len() == 16);
    let expected = expected.ok_or_else(|| ApiError::invalid("InvalidDigest", message))?;
    if Md5::digest(body).as_slice() == expected {
        return Ok(());
    }
    let message = "The Content-MD5 you specified did not match what we received.";
    Err(ApiError::invalid("BadDigest", message))
}

/// # Errors
/// `XAmzContentSHA256Mismatch` when `expected` is a SHA-256 in hex and the body has another.
pub fn verify_payload_hash(body: &[u8], expected: &str) -> Result<(), ApiError> {
    let is_hash = expected.len() == 64 && expected.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || hex::encode(Sha256::digest(body)).eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    Err(error::with(
        ApiError::invalid("XAmzContentSHA256Mismatch", message),
        "ClientComputedContentSHA256",
        expected,
    ))
}

/// The raw MD5: an ETag is its hex; a multipart ETag is the MD5 of the parts' raw MD5s.
pub fn md5(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "123456789" is the check input of the CRC catalogue; SHA-256 of "abc" is FIPS 180-2's example.
    #[test]
    fn published_checks_hold() {
        let crc =
            Checksum { algorithm: Algorithm::Crc32, value: BASE64.encode(0xcbf4_3926_u32.to_be_bytes()) };
        crc.verify(b"123456789").unwrap();
        assert_eq!(crc.verify(b"12345678").unwrap_err().code, "BadDigest");
        verify_payload_hash(b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
            .unwrap();
        assert!(verify_payload_hash(b"abd", &"0".repeat(64)).is_err());
        verify_payload_hash(b"abd", "UNSIGNED-PAYLOAD").unwrap();
        assert_eq!(hex::encode(md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(verify_md5(b"", "bm8=").unwrap_err().code, "InvalidDigest");
    }

    #[test]
    fn a_composite_checksum_covers_the_parts_checksums() {
        let (a, b) = (Bytes::from("a"), Bytes::from("b"));
        let sum = |body: &Bytes| Checksum {
            algorithm: Algorithm::Crc32,
            value: BASE64.encode(Algorithm::Crc32.compute([body.as_ref()]).unwrap()),
        };
        let (sum_a, sum_b) = (sum(&a), sum(&b));
        let parts = [(&a, Some(&sum_a)), (&b, Some(&sum_b))];
        let full = Checksum::of_parts(Algorithm::Crc32, true, &parts).unwrap();
        full.verify(b"ab").unwrap();
        let composite = Checksum::of_parts(Algorithm::Crc32, false, &parts).unwrap();
        assert!(composite.value.ends_with("-2"), "{}", composite.value);
        assert_eq!(composite.kind(), "COMPOSITE");
        assert_eq!(Checksum::of_parts(Algorithm::Crc32, false, &[(&a, None)]), None);
    }
}
