//! Which bucket and key a request is about: in the path, or with the bucket in front of the host.
//!
//! Source: S3 user guide, "Virtual hosting of general purpose buckets".

use std::collections::BTreeMap;

use http::{HeaderMap, Uri, header};

use crate::local::service::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    pub bucket: Option<String>,
    pub key: Option<String>,
    /// Parameters, decoded; those without a value are empty.
    pub query: BTreeMap<String, String>,
}

impl Address {
    /// # Errors
    /// `InvalidURI` when the path is not UTF-8 once decoded.
    pub fn read(uri: &Uri, headers: &HeaderMap) -> Result<Address, ApiError> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
        let path = percent_decoded(uri.path().strip_prefix('/').unwrap_or(uri.path()));
        let path =
            path.ok_or_else(|| ApiError::invalid("InvalidURI", "Couldn't parse the specified URI."))?;
        let (bucket, key) = match bucket_of_host(host) {
            Some(bucket) => (bucket.to_owned(), path),
            None => match path.split_once('/') {
                Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
                None => (path, String::new()),
            },
        };
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let given = |text: String| (!text.is_empty()).then_some(text);
        Ok(Address { bucket: given(bucket), key: given(key), query: query.into_owned().collect() })
    }
}

/// `bucket` of `bucket.localhost`, `bucket.s3.localhost` and `bucket.s3.<region>.amazonaws.com`.
fn bucket_of_host(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let before = if let Some(before) = name.strip_suffix(".localhost") {
        before.strip_suffix(".s3").unwrap_or(before)
    } else {
        let service = name.strip_suffix(".amazonaws.com")?;
        &service[..service.rfind(".s3.").or_else(|| service.strip_suffix(".s3").map(str::len))?]
    };
    // A bare `s3.localhost` names the service: no bucket has a name of two characters.
    (before != "s3" && !before.is_empty()).then_some(before)
}

fn percent_decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                after
            }
            (b'%', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, uri: &str) -> (Option<String>, Option<String>) {
        let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        let address = Address::read(&uri.parse().unwrap(), &headers).unwrap();
        (address.bucket, address.key)
    }

    #[test]
    fn both_styles_name_bucket_and_key() {
        let both = (Some("b.c".to_owned()), Some("k/ü+ %".to_owned()));
        assert_eq!(read("127.0.0.1:4566", "/b.c/k/%C3%BC+%20%25?x"), both);
        for host in [
            "b.c.localhost:4566",
            "b.c.s3.localhost",
            "b.c.s3.eu-west-1.amazonaws.com",
            "b.c.s3.amazonaws.com",
        ] {
            assert_eq!(read(host, "/k/%C3%BC+%20%25"), both, "{host}");
        }
        for host in ["localhost", "s3.localhost:1", "s3.eu-west-1.amazonaws.com", "[::1]:4566"] {
            assert_eq!(read(host, "/b/k"), (Some("b".to_owned()), Some("k".to_owned())), "{host}");
        }
        assert_eq!(read("localhost", "/"), (None, None));
        assert_eq!(read("localhost", "/b/"), (Some("b".to_owned()), None));
        assert_eq!(read("bkt.localhost", "/"), (Some("bkt".to_owned()), None));
    }

    #[test]
    fn a_host_in_the_address_serves_as_well_and_bad_escapes_are_refused() {
        let address =
            Address::read(&"http://bkt.localhost/k?a&b=c%2Bd".parse().unwrap(), &HeaderMap::new()).unwrap();
        assert_eq!(address.bucket.as_deref(), Some("bkt"));
        assert_eq!(address.query["a"], "");
        assert_eq!(address.query["b"], "c+d");
        for path in ["/b/%ff", "/b/%zz", "/b/%4"] {
            let error = Address::read(&path.parse().unwrap(), &HeaderMap::new()).unwrap_err();
            assert_eq!(error.code, "InvalidURI", "{path}");
        }
    }
}
