//! Who may come in. The endpoint can create functions that run as the user, and any web page that the user
//! visits can send requests to loopback: so a request must be one that a browser cannot make.

use http::request::Parts;
use http::{HeaderMap, header};

use crate::local::service::ApiError;

/// Refuses what a web page could send: an `Origin` header, or a Host that is not loopback (a page whose own
/// name was pointed at 127.0.0.1 sends no Origin to it, but does send its name).
pub fn check_sender(parts: &Parts) -> Result<(), ApiError> {
    let denied =
        |why: &str| Err(ApiError::new(403, "AccessDeniedException", format!("the local endpoint {why}")));
    if parts.headers.contains_key(header::ORIGIN) {
        return denied("takes no requests from web pages (an Origin header was sent)");
    }
    // An SDK in this process has not set Host yet; it stands in the address.
    let hosts = parts.headers.get_all(header::HOST);
    let named: Vec<&str> = hosts.iter().map(|host| host.to_str().unwrap_or("")).collect();
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    match (&named[..], authority) {
        ([host], _) if is_loopback(host) => Ok(()),
        ([], Some(authority)) if is_loopback(authority) => Ok(()),
        _ => denied("answers only to 127.0.0.0/8, [::1], localhost and names below localhost (Host header)"),
    }
}

/// Whether `host[:port]` names this machine's loopback.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => return rest.split_once(']').is_some_and(|(address, _)| address == "::1"),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// The service that the request was signed for: from the credential scope of the Authorization header, or
/// of a presigned address. Signatures are not verified: there are no accounts here to protect.
///
/// # Errors
/// 403, as AWS gives them.
pub fn signed_service(parts: &Parts) -> Result<String, ApiError> {
    if let Some(header) = authorization(&parts.headers) {
        return header_service(header).ok_or_else(|| {
            ApiError::new(
                403,
                "IncompleteSignatureException",
                "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters of AWS4-HMAC-SHA256.",
            )
        });
    }
    presigned_service(parts.uri.query().unwrap_or("")).ok_or_else(|| {
        ApiError::new(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token: the local endpoint takes signed requests only (any credentials will do)",
        )
    })
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// `AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/kinesis/aws4_request, SignedHeaders=..., Signature=...`
fn header_service(header: &str) -> Option<String> {
    let parameters = header.strip_prefix("AWS4-HMAC-SHA256")?;
    let find = |name: &str| {
        parameters
            .split(',')
            .find_map(|pair| pair.trim().strip_prefix(name))
            .filter(|value| !value.is_empty())
    };
    find("Signature=").and(find("SignedHeaders="))?;
    scope_service(find("Credential=")?)
}

fn presigned_service(query: &str) -> Option<String> {
    let find = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    find("X-Amz-Signature")?;
    scope_service(&find("X-Amz-Credential")?)
}

/// From the end, because an access key may hold slashes.
fn scope_service(credential: &str) -> Option<String> {
    let mut parts = credential.rsplit('/');
    let (terminator, service, region, date) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let access_key = parts.next()?;
    let whole = terminator == "aws4_request"
        && date.len() == 8
        && [service, region, access_key].iter().all(|part| !part.is_empty());
    whole.then(|| service.to_owned())
}

/// Compares in time that does not tell how much of the token was right.
pub fn bears_token(headers: &HeaderMap, token: &str) -> bool {
    let given = authorization(headers).and_then(|header| header.strip_prefix("Bearer ")).unwrap_or("");
    given.len() == token.len()
        && given.bytes().zip(token.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)], uri: &str) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("request").into_parts().0
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in
            ["127.0.0.1:4566", "127.8.9.1", "[::1]:80", "localhost", "LOCALHOST:1", "b.s3.localhost:4566"]
        {
            assert!(check_sender(&parts(&[("host", host)], "/")).is_ok(), "{host}");
        }
        for host in [
            "example.com",
            "10.0.0.1:80",
            "localhost.example.com",
            "127.0.0.1.nip.io",
            "[::2]",
            "",
            "0.0.0.0",
        ] {
            assert!(check_sender(&parts(&[("host", host)], "/")).is_err(), "{host}");
        }
        assert!(check_sender(&parts(&[], "/")).is_err());
        assert!(check_sender(&parts(&[], "http://localhost/")).is_ok());
        assert!(check_sender(&parts(&[], "http://kinesis.us-east-1.amazonaws.com/")).is_err());
        assert!(check_sender(&parts(&[("host", "localhost"), ("host", "evil")], "/")).is_err());
        let page = check_sender(&parts(&[("host", "localhost"), ("origin", "http://localhost")], "/"));
        assert_eq!(page.expect_err("a page").status, 403);
    }

    #[test]
    fn the_scope_tells_the_service() {
        let scope = "Credential=a/key/20261121/us-east-1/kinesis/aws4_request";
        let header = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host;x-amz-date, Signature=00ff");
        let service = |header: &str| signed_service(&parts(&[("authorization", header)], "/"));
        assert_eq!(service(&header), Ok("kinesis".to_owned()));
        assert_eq!(service(&header.replace(", ", ",")), Ok("kinesis".to_owned()));
        for broken in
            ["Basic dXNlcg==", "AWS4-HMAC-SHA256 Credential=a/b", &header.replace("Signature=00ff", "")]
        {
            assert_eq!(service(broken).expect_err("broken").code, "IncompleteSignatureException", "{broken}");
        }
        let presigned =
            "/b/k?X-Amz-Credential=a%2F20261121%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0";
        assert_eq!(signed_service(&parts(&[], presigned)), Ok("s3".to_owned()));
        let missing = signed_service(&parts(&[], "/")).expect_err("unsigned");
        assert_eq!((missing.status, missing.code.as_str()), (403, "MissingAuthenticationTokenException"));
    }

    #[test]
    fn the_token_must_be_whole() {
        let bears = |given: &str| bears_token(&parts(&[("authorization", given)], "/").headers, "0123");
        assert!(bears("Bearer 0123"));
        assert!(!bears("Bearer 012") && !bears("Bearer 0124") && !bears("0123") && !bears("Bearer "));
    }
}
