//! How much the local endpoint carries on one core: PutRecord and PutRecords of 500-byte records over TCP, its
//! runtime with one thread, the clients on another. Prints a table; asserts only that every record was taken.
//! CPU is the endpoint thread's own, from `/proc` (Linux; elsewhere it is left out).
//!
//! `cargo bench --bench endpoint`

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use streamgauge::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use streamgauge::local::door::http;
use streamgauge::platform::clock::Clock;

const SECONDS: i64 = 5;
const WARM_UP_SECONDS: i64 = 1;
const CONNECTIONS: usize = 8;
const DATA_BYTES: usize = 500;
/// Distinct partition keys, so that every shard of the largest stream has its share.
const KEYS: usize = 64_000;
const THREAD: &str = "bench-endpoint";

/// An endpoint on a runtime of one thread.
struct Endpoint {
    runtime: tokio::runtime::Runtime,
    cloud: Arc<Cloud>,
    address: String,
}

impl Endpoint {
    fn start(clock: Clock) -> Endpoint {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(THREAD)
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = CloudSettings {
            clock,
            region: "us-east-1".to_owned(),
            account: LOCAL_ACCOUNT.to_owned(),
            seed: 1,
            faults: Vec::new(),
            work_dir: PathBuf::new(),
            host: HostKind::Process,
            memory: Default::default(),
        };
        let (cloud, listener) = runtime.block_on(async {
            (Cloud::start(settings).expect("a cloud"), http::bind(0).await.expect("a port"))
        });
        let address = listener.local_addr().expect("an address").to_string();
        runtime.spawn(http::serve(Arc::clone(&cloud), listener, cloud.shutdown_asked()));
        Endpoint { runtime, cloud, address }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).expect("connect");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a bound on reads");
        Connection { stream, buffer: vec![0; 256 * 1_024] }
    }

    fn create_stream(&self, shards: usize) {
        let body = format!(r#"{{"StreamName":"s","ShardCount":{shards}}}"#);
        let mut connection = self.connect();
        connection.send(&request("CreateStream", &body));
        assert!(connection.receive().starts_with("HTTP/1.1 200"), "the stream is made");
        // It is CREATING for half a second.
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(600)).await });
    }

    fn end(self) {
        self.cloud.shut_down();
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// A connection that is kept: requests as they come, answers read by their length.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("write");
    }

    /// The answer to the one request under way.
    fn receive(&mut self) -> &str {
        let (mut filled, mut whole) = (0, usize::MAX);
        while filled < whole {
            let read = self.stream.read(&mut self.buffer[filled..]).expect("read");
            assert!(read > 0, "the endpoint closed the connection");
            filled += read;
            if whole == usize::MAX
                && let Some(head) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n")
            {
                let text = std::str::from_utf8(&self.buffer[..head]).expect("a head");
                let length = text.split("content-length: ").nth(1).expect("a length");
                let length: usize =
                    length.lines().next().and_then(|line| line.parse().ok()).expect("a number");
                whole = head + 4 + length;
            }
        }
        std::str::from_utf8(&self.buffer[..filled]).expect("text")
    }
}

fn request(operation: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: Kinesis_20131202.{operation}\r\nx-amz-date: 20261121T000000Z\r\n\
         user-agent: aws-sdk-rust/1.3.8 os/linux lang/rust/1.94.1\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=local/20261121/us-east-1/kinesis/aws4_request, \
         SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target, Signature={:064x}\r\n\
         content-length: {}\r\n\r\n{body}",
        7,
        body.len()
    )
    .into_bytes()
}

/// The requests that carry [`KEYS`] records, `records` in each.
fn requests(records: usize) -> Vec<Vec<u8>> {
    let data = STANDARD.encode(vec![b'x'; DATA_BYTES]);
    (0..KEYS / records)
        .map(|number| {
            if records == 1 {
                let body = format!(r#"{{"StreamName":"s","Data":"{data}","PartitionKey":"key-{number}"}}"#);
                return request("PutRecord", &body);
            }
            let mut entries = String::new();
            for key in number * records..(number + 1) * records {
                let comma = if entries.is_empty() { "" } else { "," };
                write!(entries, r#"{comma}{{"Data":"{data}","PartitionKey":"key-{key}"}}"#).expect("text");
            }
            request("PutRecords", &format!(r#"{{"StreamName":"s","Records":[{entries}]}}"#))
        })
        .collect()
}

struct Figures {
    records_per_s: f64,
    cpu_us_per_record: Option<f64>,
    /// Share of the time that the endpoint's thread was on a CPU.
    busy: Option<f64>,
}

fn measure(shards: usize, records: usize) -> Figures {
    let clock = Clock::start();
    let endpoint = Endpoint::start(clock);
    endpoint.create_stream(shards);
    let requests = requests(records);
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| endpoint.connect()).collect();
    let mut next = requests.iter().cycle();
    let mut run_until = |until_us: i64| {
        let mut sent = 0;
        while clock.now_us() < until_us {
            // All connections have a request waiting, so that the endpoint is never idle.
            for connection in &mut connections {
                connection.send(next.next().expect("endless"));
                sent += records;
            }
            for connection in &mut connections {
                let answer = connection.receive();
                let taken = answer.starts_with("HTTP/1.1 200") && !answer.contains("ErrorCode");
                assert!(taken, "refused: {}", &answer[..answer.len().min(2_000)]);
            }
        }
        sent
    };
    run_until(clock.now_us() + WARM_UP_SECONDS * 1_000_000);
    let (began_us, cpu_before) = (clock.now_us(), cpu_ns());
    let sent = run_until(began_us + SECONDS * 1_000_000) as f64;
    let (took_us, cpu_after) = ((clock.now_us() - began_us) as f64, cpu_ns());
    let cpu_us = cpu_before.zip(cpu_after).map(|(before, after)| (after - before) as f64 / 1_000.0);
    endpoint.end();
    Figures {
        records_per_s: sent / took_us * 1e6,
        cpu_us_per_record: cpu_us.map(|us| us / sent),
        busy: cpu_us.map(|us| us / took_us),
    }
}

/// Nanoseconds that the endpoint's thread was on a CPU: the first figure of its `schedstat`.
fn cpu_ns() -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let task = tasks.flatten().map(|task| task.path()).find(|task| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim_end() == THREAD)
    })?;
    std::fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

fn main() {
    println!(
        "{:>11} {:>7} {:>10} {:>13} {:>15}",
        "operation", "shards", "records/s", "CPU us/record", "on a CPU"
    );
    for (operation, records) in [("PutRecord", 1), ("PutRecords", 500)] {
        for shards in [1_000, 10_000] {
            let figures = measure(shards, records);
            let cpu = figures.cpu_us_per_record.map_or("-".to_owned(), |us| format!("{us:.2}"));
            let busy = figures.busy.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0));
            println!("{operation:>11} {shards:>7} {:>10.0} {cpu:>13} {busy:>15}", figures.records_per_s);
        }
    }
}
