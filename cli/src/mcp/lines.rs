//! The protocol's lines at stdin and stdout, one JSON-RPC message each. A line that is none is answered as JSON-RPC says, with what is wrong, so that
//! whoever wrote it need not guess why nothing comes; what nobody may be answered to (a notification, an answer) is passed over.

use rmcp::{
    ErrorData, RoleServer,
    model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::Transport,
};
use serde_json::Value;
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::Mutex,
    task::JoinHandle,
};

/// Bytes of a line. The longest that makes sense holds a cursor.
const LONGEST: usize = 1 << 20;

/// Both ends.
pub struct Lines<R, W> {
    read: BufReader<R>,
    /// What is read of a line. It stays where reading is broken off to write an answer.
    line: Vec<u8>,
    /// Whether the line is longer than is kept of it.
    is_too_long: bool,
    write: Arc<Mutex<Option<W>>>,
    /// What a bad line is answered with goes out whole, also where nobody waits for the next one any more.
    told: Option<JoinHandle<()>>,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub fn new(read: R, write: W) -> Self {
        let write = Arc::new(Mutex::new(Some(write)));
        Self { read: BufReader::new(read), line: Vec::new(), is_too_long: false, write, told: None }
    }

    /// The next line that ends; none at the end.
    async fn next(&mut self) -> Option<Result<Vec<u8>, Bad>> {
        loop {
            // Nothing is lost where this is dropped while it waits: what was read is taken out right after.
            let read = self.read.fill_buf().await.ok().filter(|read| !read.is_empty())?;
            let end = read.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(read.len(), |end| end + 1);
            self.is_too_long |= self.line.len() + taken > LONGEST;
            if !self.is_too_long {
                self.line.extend_from_slice(&read[..taken]);
            }
            self.read.consume(taken);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                let is_too_long = std::mem::take(&mut self.is_too_long);
                return Some(if is_too_long { Err(Bad::too_long()) } else { Ok(line) });
            }
        }
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        send(Arc::clone(&self.write), message)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            // Whoever sends nonsense and reads nothing is read no further.
            if let Some(told) = &mut self.told {
                drop(told.await);
                self.told = None;
            }
            let bad = match self.next().await?.map(|line| read(&line)) {
                Ok(Ok(Some(message))) => return Some(message),
                Ok(Ok(None)) => continue,
                Ok(Err(bad)) | Err(bad) => bad,
            };
            let sent = send(Arc::clone(&self.write), ServerJsonRpcMessage::error(bad.error, bad.id));
            self.told = Some(tokio::spawn(async move { drop(sent.await) }));
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.write.lock().await.take());
        Ok(())
    }
}

async fn send<W: AsyncWrite + Unpin>(write: Arc<Mutex<Option<W>>>, message: ServerJsonRpcMessage) -> io::Result<()> {
    let mut line = serde_json::to_vec(&message)?;
    line.push(b'\n');
    let mut write = write.lock().await;
    let Some(write) = write.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
    write.write_all(&line).await?;
    write.flush().await
}

/// What a line that is no message is answered with.
#[derive(Debug)]
struct Bad {
    error: ErrorData,
    /// None where the line does not say it.
    id: Option<RequestId>,
}

impl Bad {
    fn too_long() -> Self {
        let text =
            format!("a line is longer than {LONGEST} bytes; next: send one message a line, and ask for less at once");
        Self { error: ErrorData::invalid_request(text, None), id: None }
    }
}

/// The message of a line; none where there is nothing to be answered.
fn read(line: &[u8]) -> Result<Option<ClientJsonRpcMessage>, Bad> {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(line).map_err(|cause| {
        // What the reader says of it names a place in the line, and nothing that stands there.
        let text = format!("the line is no JSON: {cause}; next: send one JSON value a line, in UTF-8");
        Bad { error: ErrorData::parse_error(text, None), id: None }
    })?;
    let said = |name| value.get(name);
    let (id, method) = (said("id"), said("method").and_then(Value::as_str));
    let is_answer = method.is_none() && (said("result").is_some() || said("error").is_some());
    let is_notification = method.is_some() && id.is_none();
    match serde_json::from_slice(line) {
        Ok(message) => Ok(Some(message)),
        // To answer one would begin a talk of two that answer each other's errors.
        Err(_) if is_answer || is_notification => Ok(None),
        Err(_) => Err(Bad { error: misformed(&value), id: id.and_then(|id| serde_json::from_value(id.clone()).ok()) }),
    }
}

fn misformed(value: &Value) -> ErrorData {
    let is_request = value.get("jsonrpc").is_some_and(|version| version == "2.0")
        && value.get("method").is_some_and(Value::is_string)
        && value.get("id").is_some_and(|id| id.is_string() || id.is_i64());
    if is_request {
        return ErrorData::invalid_params(
            "the params are not those of this method; next: send what the protocol's schema names for it",
            None,
        );
    }
    let what = match value {
        Value::Array(_) => "many messages in one line; next: send one message a line",
        _ => {
            "the line is no request of JSON-RPC 2.0; next: send an object with \"jsonrpc\": \"2.0\", \"id\", \"method\" and \"params\""
        }
    };
    ErrorData::invalid_request(what, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The code of the answer to a line, and its id; none where there is no answer.
    fn refused(line: &str) -> Option<(i32, Value)> {
        let Bad { error, id } = read(line.as_bytes()).err()?;
        assert!(error.message.contains("; next: ") && !error.message.contains("hunter2"), "{error:?}");
        Some((error.code.0, serde_json::to_value(id).unwrap()))
    }

    #[test]
    fn what_is_no_request_is_answered_with_what_is_wrong_and_repeated_nowhere() {
        for (line, code, id) in [
            ("hunter2", -32_700, json!(null)),
            ("{\"id\": 7, hunter2}", -32_700, json!(null)),
            ("{", -32_700, json!(null)),
            (&"[".repeat(10_000), -32_700, json!(null)),
            ("7", -32_600, json!(null)),
            ("{}", -32_600, json!(null)),
            (r#"[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]"#, -32_600, json!(null)),
            (r#"{"jsonrpc": "2.0", "id": 7, "method": ["hunter2"]}"#, -32_600, json!(7)),
            (r#"{"jsonrpc": "1.0", "id": "a", "method": "ping"}"#, -32_600, json!("a")),
            (r#"{"jsonrpc": "2.0", "id": {"hunter2": 1}, "method": "ping"}"#, -32_600, json!(null)),
            (r#"{"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": 8}"#, -32_602, json!(8)),
        ] {
            assert_eq!(refused(line), Some((code, id)), "{line}");
        }
    }

    #[test]
    fn an_answer_and_a_notification_are_never_answered() {
        for line in [
            "",
            " \r",
            r#"{"jsonrpc": "2.0", "error": {"code": -32700, "message": "no"}}"#,
            r#"{"jsonrpc": "2.0", "id": null, "error": "no"}"#,
            r#"{"jsonrpc": "2.0", "id": [], "result": {}}"#,
            r#"{"jsonrpc": "2.0", "method": "notifications/initialized", "params": 7}"#,
            r#"{"jsonrpc": "2.0", "method": "$/setTrace", "params": 7}"#,
        ] {
            assert_eq!(refused(line), None, "{line}");
        }
        let ping = "\u{feff}{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"ping\"}\r\n";
        assert!(matches!(read(ping.as_bytes()), Ok(Some(ClientJsonRpcMessage::Request(_)))));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_and_the_next_one_is_read() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(ours);
        let mut lines = Lines::new(read, write);
        let (answers, mut orders) = tokio::io::split(theirs);
        let sending = tokio::spawn(async move {
            orders.write_all(&vec![b'['; 2 * LONGEST]).await.unwrap();
            orders.write_all(b"\n\n{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"ping\"}\n{\"cut off").await.unwrap();
            orders.shutdown().await.unwrap();
        });
        assert!(matches!(lines.receive().await, Some(ClientJsonRpcMessage::Request(_))));
        assert!(lines.receive().await.is_none(), "half a line is none");
        sending.await.unwrap();
        let answer = BufReader::new(answers).lines().next_line().await.unwrap().unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], -32_600, "{answer}");
    }
}
