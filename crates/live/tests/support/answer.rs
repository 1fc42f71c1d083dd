//! An answer of the server, read as far as it has come.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use serde_json::Value;

/// An answer, whose body may still be on its way.
pub struct Answer {
    pub status: u16,
    pub head: String,
    reader: BufReader<TcpStream>,
    /// What is left of a chunk.
    chunk: Vec<u8>,
    is_chunked: bool,
}

impl Answer {
    pub fn read(socket: TcpStream) -> Self {
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("a head"), 0, "the connection ended: {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let is_chunked = head.contains("Transfer-Encoding: chunked\r\n");
        Self { status, head, reader, chunk: Vec::new(), is_chunked }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The next event of a stream; none at its end.
    pub fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.chunk.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a JSON object"));
            }
            let mut size = String::new();
            if self.reader.read_line(&mut size).unwrap_or(0) == 0 {
                return None;
            }
            let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk).expect("a chunk");
            if size == 0 {
                return None;
            }
            self.chunk.extend_from_slice(&chunk[..size]);
        }
    }

    /// All events that are left.
    pub fn events(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// The body that is left, as text.
    pub fn rest(&mut self) -> String {
        if self.is_chunked {
            return self.events().iter().map(|event| format!("{event}\n")).collect();
        }
        let mut text = String::new();
        self.reader.read_to_string(&mut text).expect("a body in UTF-8");
        text
    }
}
