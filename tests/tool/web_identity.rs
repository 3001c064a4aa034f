//! How a CI without stored keys calls AWS: a token in a file, traded for credentials by STS. The local endpoint does not
//! model `AssumeRoleWithWebIdentity`, so that a small STS stands here, on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::support::{Bench, Done};

/// What a request said: its headers in lower case, and its body.
struct Asked {
    headers: String,
    body: String,
}

/// Gives credentials to whoever shows a token, and refuses every other call.
fn sts() -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            // Ends with the test: then nobody listens to what was asked.
            if answer(connection.unwrap(), &told).is_none() {
                break;
            }
        }
    });
    (url, asked)
}

fn answer(mut connection: TcpStream, told: &Sender<Asked>) -> Option<()> {
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") {
        if reader.read_line(&mut headers).ok()? == 0 {
            // Opened and not used.
            return Some(());
        }
    }
    let headers_lower = headers.to_lowercase();
    let length = headers_lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.trim().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let (status, text) = if body.contains("Action=AssumeRoleWithWebIdentity") {
        ("200 OK", CREDENTIALS)
    } else {
        ("403 Forbidden", REFUSED)
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(text.as_bytes())).ok()?;
    told.send(Asked { headers, body }).ok()
}

const CREDENTIALS: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>ASIAFROMTHETOKEN</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>session-of-the-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>
<AssumedRoleUser><AssumedRoleId>AROA1:ci</AssumedRoleId><Arn>arn:aws:sts::111122223333:assumed-role/ci/ci</Arn></AssumedRoleUser>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"#;

const REFUSED: &str = r#"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>"#;

#[test]
fn a_token_in_a_file_is_traded_for_credentials_that_then_sign() {
    let bench = Bench::new();
    let token = bench.write("token", "header.claims.signature");
    let (url, asked) = sts();
    let mut command =
        bench.command(&["status", "--target", "aws", "--region", "us-east-1", "--endpoint-url", &url]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "HTTP_PROXY"] {
        command.env_remove(name);
    }
    command
        .env("HOME", bench.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_STS", &url)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/ci-streamgauge")
        .env("AWS_ROLE_SESSION_NAME", "streamgauge-17");
    Done::new(command.output().unwrap()).expect_code(3);

    let asked: Vec<Asked> = asked.try_iter().collect();
    let (traded, signed): (Vec<&Asked>, Vec<&Asked>) =
        asked.iter().partition(|asked| asked.body.contains("Action=AssumeRoleWithWebIdentity"));
    let traded = traded.first().expect("the token was shown to STS");
    for part in [
        "WebIdentityToken=header.claims.signature",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fci-streamgauge",
        "RoleSessionName=streamgauge-17",
    ] {
        assert!(traded.body.contains(part), "{part} is not in {}", traded.body);
    }
    // Who has no credentials yet cannot sign.
    assert!(!traded.headers.contains("authorization:"), "{}", traded.headers);
    let signed = signed.first().expect("a call after it");
    for part in ["Credential=ASIAFROMTHETOKEN/", "x-amz-security-token: session-of-the-token"] {
        assert!(signed.headers.contains(part), "{part} is not in {}", signed.headers);
    }
}
