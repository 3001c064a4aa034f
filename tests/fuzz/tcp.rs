//! The endpoint's TCP door: torn requests, wrong lengths, chunked bodies. After each the endpoint still answers.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use streamgauge::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use streamgauge::local::door::http;
use streamgauge::platform::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{mutate, runner};

const BATCHES: u64 = 6;
const CASES: usize = 40;
const ANSWER_MAX: Duration = Duration::from_secs(10);
const AUTHORIZATION: &str = "Authorization: AWS4-HMAC-SHA256 Credential=a/20261121/us-east-1/kinesis/aws4_request, \
     SignedHeaders=host, Signature=0\r\n";

#[test]
fn the_tcp_door_survives_whatever_comes() {
    runner::run(BATCHES, |seed, cases| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(batch(seed, cases));
    });
}

fn requests() -> Vec<Vec<u8>> {
    let head = "Host: 127.0.0.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Type: application/x-amz-json-1.1\r\n";
    let post = |more: &str, body: &str| {
        format!("POST / HTTP/1.1\r\n{head}{AUTHORIZATION}{more}\r\n{body}").into_bytes()
    };
    let body = "{\"Limit\":1}";
    vec![
        post(&format!("Content-Length: {}\r\n", body.len()), body),
        post("Transfer-Encoding: chunked\r\n", "5\r\n{\"Lim\r\n6\r\nit\":1}\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n{}"),
        post(
            "Transfer-Encoding: chunked\r\n",
            &format!("{}1;{}\r\n{{}}\r\n", "0".repeat(5_000), "x".repeat(60_000)),
        ),
        post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        post("Content-Length: 69999999\r\n", "{"),
        post("Content-Length: 99999999999999999999\r\n", "{}"),
        post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
        post("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}"),
        post("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"),
        post(&"X: y\r\n".repeat(200), ""),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ]
}

async fn batch(seed: u64, cases: &runner::Cases) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = CloudSettings {
        clock: Clock::start(),
        region: "us-east-1".to_owned(),
        account: LOCAL_ACCOUNT.to_owned(),
        seed,
        faults: Vec::new(),
        work_dir: folder.path().to_owned(),
        host: HostKind::Process,
        memory: Default::default(),
    };
    let cloud = Cloud::start(settings).expect("a cloud");
    let listener = http::bind(0).await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let serving = tokio::spawn(http::serve(Arc::clone(&cloud), listener, cloud.shutdown_asked()));
    let (mut rng, requests) = (Rng::with_seed(seed), requests());
    for case in 0..CASES {
        let chosen = &requests[rng.usize(0..requests.len())];
        let other = &requests[rng.usize(0..requests.len())];
        // The first batch sends each as it is, too.
        let sent = match requests.get(case) {
            Some(request) if seed == 1 => request.clone(),
            _ => mutate::bytes(&mut rng, chosen.clone(), other),
        };
        cases.next(format!("batch {seed}, case {case}: {:?}", String::from_utf8_lossy(&sent)));
        let answer = exchange(&address, &sent, true).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
        let health = b"GET /_streamgauge/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let health = exchange(&address, health, false).await;
        assert!(health.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&health));
    }
    cloud.shut_down();
    serving.await.expect("no panic").expect("no error");
}

/// Sends everything, closes this side if told to, and reads what comes back until the other side closes.
async fn exchange(address: &str, request: &[u8], close: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let talk = async {
        // The endpoint may close before it has read everything.
        let _ = stream.write_all(request).await;
        if close {
            let _ = stream.shutdown().await;
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(ANSWER_MAX, talk).await.expect("the endpoint ends the exchange")
}
