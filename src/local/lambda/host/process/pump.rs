//! Carries what a sandbox prints to its log stream, in order with the platform's own lines.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{mpsc, oneshot};

use crate::local::lambda::logs::{LINE_MAX_BYTES, LogStream};

/// Platform lines that wait.
const QUEUE: usize = 16;
/// Reads from the pipes in a row before a platform line gets its turn: a function that never stops
/// printing must not hold up its own REPORT line.
const READS_IN_A_ROW: u32 = 64;

enum Platform {
    Line(String),
    TakeTail(oneshot::Sender<Vec<u8>>),
}

/// The way to the pump of one sandbox. The pump ends when this is dropped and the pipes are closed.
pub struct Pump {
    queue: mpsc::Sender<Platform>,
}

impl Pump {
    pub fn start(log: LogStream, stdout: ChildStdout, stderr: ChildStderr) -> Pump {
        let (queue, platform) = mpsc::channel(QUEUE);
        tokio::spawn(run(log, Lines::new(stdout), Lines::new(stderr), platform));
        Pump { queue }
    }

    /// A line of the platform (START, END, REPORT), after everything that the function printed before.
    pub async fn write(&self, line: String) {
        let _ = self.queue.send(Platform::Line(line)).await;
    }

    pub async fn take_tail(&self) -> Vec<u8> {
        let (answer, tail) = oneshot::channel();
        let _ = self.queue.send(Platform::TakeTail(answer)).await;
        tail.await.unwrap_or_default()
    }
}

async fn run(
    mut log: LogStream,
    mut stdout: Lines<ChildStdout>,
    mut stderr: Lines<ChildStderr>,
    mut platform: mpsc::Receiver<Platform>,
) {
    let mut open = true;
    let mut reads = 0;
    while open || !stdout.closed || !stderr.closed {
        if reads >= READS_IN_A_ROW {
            reads = 0;
            if let Ok(order) = platform.try_recv() {
                obey(&mut log, order).await;
            }
        }
        // What the function printed before its answer is already in the pipes: the pipes go first.
        tokio::select! {
            biased;
            lines = stdout.next(), if !stdout.closed => { reads += 1; write_all(&mut log, lines).await }
            lines = stderr.next(), if !stderr.closed => { reads += 1; write_all(&mut log, lines).await }
            order = platform.recv(), if open => match order {
                Some(order) => { reads = 0; obey(&mut log, order).await }
                None => open = false,
            },
        }
    }
}

async fn obey(log: &mut LogStream, order: Platform) {
    match order {
        Platform::Line(line) => log.write(line).await,
        Platform::TakeTail(answer) => {
            let _ = answer.send(log.take_tail());
        }
    }
}

async fn write_all(log: &mut LogStream, lines: Vec<String>) {
    for line in lines {
        log.write(line).await;
    }
}

/// Lines of a pipe, cut at the longest length that a log event has.
struct Lines<R> {
    pipe: R,
    buffer: BytesMut,
    closed: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: R) -> Lines<R> {
        Lines { pipe, buffer: BytesMut::with_capacity(4_096), closed: false }
    }

    /// The lines that the next read completes; perhaps none. Safe to cancel.
    async fn next(&mut self) -> Vec<String> {
        match self.pipe.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => self.closed = true,
            Ok(_) => {}
        }
        let mut lines = Vec::new();
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line = self.buffer.split_to(end + 1);
            lines.push(text(&line[..end]));
        }
        if self.buffer.len() >= LINE_MAX_BYTES || (self.closed && !self.buffer.is_empty()) {
            lines.push(text(&self.buffer.split()));
        }
        lines
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}
