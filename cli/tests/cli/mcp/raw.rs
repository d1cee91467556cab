//! What `mosaic-fed mcp` says line by line, also to lines that are no messages and of a daemon that says nothing.

use super::{
    super::harness::{Instance, finish, program},
    PATIENCE, until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// One that is spoken to by hand.
struct Raw {
    child: Child,
    orders: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Raw {
    fn of(home: &Instance) -> Self {
        let mut command = program(&["-C", home.data().to_str().unwrap(), "mcp"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (heard, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| heard.send(line)));
        Self { orders: child.stdin.take(), child, said }
    }

    fn says(&mut self, line: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
    }

    fn begins(&mut self) -> Value {
        let about =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        self.says(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}).to_string());
        let begun = self.hears();
        self.says(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        begun
    }

    /// The next answer; what it tells unasked is passed over.
    #[track_caller]
    fn hears(&self) -> Value {
        loop {
            let line = self.said.recv_timeout(2 * PATIENCE).expect("no answer");
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(said["jsonrpc"], "2.0", "{line}");
            if said.get("method").is_none() {
                return said;
            }
        }
    }

    /// Ends it by the end of its stdin.
    fn ends(mut self) {
        self.orders = None;
        assert!(self.child.wait().unwrap().success(), "the end of stdin is its end");
        assert!(self.said.iter().next().is_none());
    }
}

#[test]
fn nothing_but_the_protocol_is_on_stdout_and_a_line_that_is_no_message_is_told_what_it_lacks() {
    let home = Instance::running("home");
    let mut mcp = Raw::of(&home);
    assert_eq!(mcp.begins()["result"]["serverInfo"]["name"], "mosaic-fed");
    for (line, id, code, words) in [
        ("no JSON at all", Value::Null, -32_700, "no JSON"),
        ("{\"jsonrpc\": \"2.0\", ", Value::Null, -32_700, "no JSON"),
        ("[1, 2]", Value::Null, -32_600, "one message a line"),
        (r#"{"id": 5, "method": "tools/list"}"#, json!(5), -32_600, "no request of JSON-RPC 2.0"),
        (r#"{"jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": 7}"#, json!(6), -32_602, "params"),
    ] {
        mcp.says(line);
        let said = mcp.hears();
        assert_eq!((&said["id"], &said["error"]["code"]), (&id, &json!(code)), "{line}: {said}");
        let told = said["error"]["message"].as_str().unwrap();
        assert!(told.contains(words) && told.contains("; next: "), "{line}: {told}");
    }
    // Nobody is answered to these.
    for line in ["", r#"{"jsonrpc": "2.0", "method": "$/setTrace"}"#, r#"{"jsonrpc": "2.0", "id": 9, "error": 7}"#] {
        mcp.says(line);
    }
    let sources = json!({"name": "sources", "arguments": {}});
    mcp.says(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": sources}).to_string());
    let said = mcp.hears();
    assert!(said["id"] == 2 && said["result"]["isError"] != true, "{said}");
    mcp.says(&json!({"jsonrpc": "2.0", "id": 3, "method": "no/such"}).to_string());
    let said = mcp.hears();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(3), &json!(-32_601)), "{said}");
    mcp.ends();
    let nobody = finish(program(&["-C", home.data().to_str().unwrap(), "mcp"]));
    nobody.fails(1, &["no assistant began to speak", "docs/mcp.md"]);
    assert!(nobody.out.is_empty(), "{nobody:?}");
}

#[test]
fn a_daemon_that_is_stopped_holds_up_no_beginning_and_a_call_says_why_nothing_comes() {
    let home = Instance::running("home");
    // One that is stopped while it starts gives up, later.
    home.types("status").done();
    home.signal(Signal::SIGSTOP);
    let mut mcp = Raw::of(&home);
    assert_eq!(mcp.begins()["result"]["serverInfo"]["name"], "mosaic-fed");
    mcp.says(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).to_string());
    assert_eq!(mcp.hears()["id"], 2);
    let list = json!({"name": "list", "arguments": {"kind": "notes"}});
    mcp.says(&json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": list}).to_string());
    let said = mcp.hears();
    let text = said["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{said}"));
    assert!(said["result"]["isError"] == true && text.contains("did not answer within 30 s"), "{text}");
    assert!(text.contains("next: ") && text.contains("kill -CONT PID"), "{text}");
    home.signal(Signal::SIGCONT);
    // Its database may have to come back first.
    until("it goes on", || {
        let sources = json!({"name": "sources", "arguments": {}});
        mcp.says(&json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": sources}).to_string());
        mcp.hears()["result"]["isError"] != true
    });
    mcp.ends();
}
