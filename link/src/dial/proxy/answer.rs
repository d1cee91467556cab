//! The one answer of a proxy that is read: a status line and headers, of bounded length, to their very end and not a byte further. What follows
//! is the other side's.
//!
//! Strict: lines end with CR LF, and where a line could be read in two ways the answer is none.

use super::Fault;
use std::io;
use tokio::{io::AsyncReadExt, net::TcpStream};

/// A head of an answer may be so long.
pub(super) const MOST: usize = 8 * 1024;
const BEGIN: &[u8] = b"HTTP/1.";
const END: &[u8] = b"\r\n\r\n";

/// Its status. The socket is left where the head ends.
pub(super) async fn read(socket: &mut TcpStream) -> Result<u16, Fault> {
    status(&head(socket).await?).ok_or(Fault::NotHttp)
}

async fn head(socket: &mut TcpStream) -> Result<Vec<u8>, Fault> {
    let lost = |_: io::Error| Fault::Closed;
    let (mut head, mut window) = (Vec::new(), [0; 1024]);
    loop {
        // Looked at first: a byte that was taken from the socket cannot be put back.
        let seen = socket.peek(&mut window).await.map_err(lost)?;
        if seen == 0 {
            return Err(Fault::Closed);
        }
        let before = head.len();
        head.extend_from_slice(&window[..seen]);
        let from = before.saturating_sub(END.len() - 1);
        let end = head[from..].windows(END.len()).position(|four| four == END).map(|at| from + at + END.len());
        let taken = end.map_or(seen, |end| end - before);
        socket.read_exact(&mut window[..taken]).await.map_err(lost)?;
        let begun = head.len().min(BEGIN.len());
        if head[..begun] != BEGIN[..begun] {
            return Err(Fault::NotHttp);
        }
        if end.unwrap_or(head.len()) > MOST {
            return Err(Fault::TooLong);
        }
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
    }
}

/// The status of a whole head; none where it is not one of HTTP/1.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let lines = lines(head.strip_suffix(END)?)?;
    let (first, headers) = lines.split_first()?;
    let rest = first.strip_prefix(b"HTTP/1.1 ").or_else(|| first.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let is_status = matches!(digits[0], b'1'..=b'5') && digits.iter().all(u8::is_ascii_digit);
    let is_reason = reason.is_empty() || (reason[0] == b' ' && reason.iter().copied().all(is_plain));
    let is_whole = is_status && is_reason && headers.iter().all(|line| is_header(line));
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| is_whole)
}

/// None where a line ends with LF alone.
fn lines(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let last = lines.pop()?;
    let whole = lines.into_iter().map(|line| line.strip_suffix(b"\r")).chain([Some(last)]);
    whole.collect()
}

fn is_header(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    let (name, value) = line.split_at(colon);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(token) && value.iter().copied().all(is_plain)
}

/// No control but a tab.
fn is_plain(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
