//! A strict reader of responses, which shares no code with the server: it refuses whatever a client could misread.

/// A response that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// Its status.
    pub status: u16,
    /// Its fields, in their order.
    pub fields: Vec<(String, String)>,
    /// Its body, decoded.
    pub body: Vec<u8>,
}

impl Got {
    /// The value of the only field with this name.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found: Vec<_> =
            self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).collect();
        assert!(found.len() < 2, "the response has {} fields {name}", found.len());
        found.first().map(|(_, value)| value.as_str())
    }

    /// Does it say that the connection is closed after it?
    pub fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is text")
    }
}

/// Why no response can be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is not complete: more bytes must come, or the end of the connection.
    Incomplete,
    /// This is no response that every client reads in the same way.
    Wrong(String),
}

fn wrong<T>(why: impl Into<String>) -> Result<T, Unread> {
    Err(Unread::Wrong(why.into()))
}

/// Read a response at the beginning of `bytes`, the answer to a request with this method. Returns it and its length. `is_end` says that
/// the connection was closed after these bytes.
pub fn response(bytes: &[u8], method: &str, is_end: bool) -> Result<(Got, usize), Unread> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Err(Unread::Incomplete);
    };
    let head = match str::from_utf8(&bytes[..end + 2]) {
        Ok(head) if !head.replace("\r\n", "").contains(['\r', '\n', '\0']) => head,
        _ => return wrong("the head has a bare CR or LF, or is no text"),
    };
    let mut lines = head.split_terminator("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = match status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once(' ')) {
        Some((status, _)) if status.len() == 3 => status.parse::<u16>().unwrap_or(0),
        _ => {
            return wrong(format!(
                "a response begins with {status_line:?}. Does the response before it have more bytes than its head announces?"
            ));
        }
    };
    let mut fields = Vec::new();
    for line in lines {
        match line.split_once(": ") {
            Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t']) => {
                fields.push((name.to_owned(), value.to_owned()));
            }
            _ => return wrong(format!("a header line is {line:?}")),
        }
    }
    let all = |name: &str| -> Vec<&str> {
        fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    };
    let (lengths, codings) = (all("Content-Length"), all("Transfer-Encoding"));
    if lengths.len() + codings.len() > 1 {
        return wrong("Content-Length and Transfer-Encoding: more than one of both");
    }
    let has_no_body = status < 200 || status == 204;
    if has_no_body && lengths.len() + codings.len() > 0 {
        return wrong(format!("a {status} has Content-Length or Transfer-Encoding"));
    }
    if status >= 200 {
        match all("Date")[..] {
            [date] if httpdate::parse_http_date(date).is_ok() => {}
            ref dates => return wrong(format!("the Date fields are {dates:?}")),
        }
    }
    let rest = &bytes[end + 4..];
    let (body, length) = if has_no_body || status == 304 || method == "HEAD" {
        (Vec::new(), 0)
    } else if let [length] = lengths[..] {
        let Ok(length) = length.parse::<usize>() else { return wrong(format!("the length is {length:?}")) };
        match rest.get(..length) {
            Some(body) => (body.to_vec(), length),
            None => return Err(Unread::Incomplete),
        }
    } else if codings == ["chunked"] {
        chunks(rest)?
    } else if !codings.is_empty() {
        return wrong(format!("the transfer coding is {codings:?}"));
    } else if is_end {
        (rest.to_vec(), rest.len())
    } else {
        return Err(Unread::Incomplete);
    };
    Ok((Got { status, fields, body }, end + 4 + length))
}

/// Decode a chunked body. Returns it and its length before.
fn chunks(bytes: &[u8]) -> Result<(Vec<u8>, usize), Unread> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Err(Unread::Incomplete);
        };
        let digits = str::from_utf8(&rest[..line]).unwrap_or("?");
        let Ok(size) = usize::from_str_radix(digits, 16) else {
            return wrong(format!("a chunk size is {digits:?}"));
        };
        at += line + 2;
        let Some(data) = bytes.get(at..at + size + 2) else { return Err(Unread::Incomplete) };
        if !data.ends_with(b"\r\n") {
            return wrong("a chunk is longer than its size says, or there are trailer fields");
        }
        body.extend_from_slice(&data[..size]);
        at += size + 2;
        if size == 0 {
            return Ok((body, at));
        }
    }
}
