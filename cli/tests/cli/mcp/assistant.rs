//! The official client in Python, with its pinned modules, which are installed once below the target folder.

use super::super::{
    harness::{Instance, PROGRAM, unset},
    modules::Modules,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::OnceLock,
};

/// An assistant that speaks to `mosaic-fed mcp` of an instance.
pub struct Assistant {
    child: Child,
    orders: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    errors: PathBuf,
}

/// What a tool answered.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
    pub value: Value,
    pub is_error: bool,
}

impl Assistant {
    /// Speaks in this `mode`; none where there is no Python here, and nobody insists on it.
    pub fn of(instance: &Instance, mode: &str) -> Option<Self> {
        let modules = modules()?;
        let errors = instance.base.path().join(format!("mcp-{mode}.log"));
        let mut command = Command::new("python3");
        command.arg(place("client.py")).args([mode, PROGRAM, "-C"]).arg(instance.data()).arg("mcp");
        let mut command = unset(command);
        command.env("PYTHONPATH", modules).env("PYTHONNOUSERSITE", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        let (orders, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, orders, said, errors })
    }

    /// Does something, and says what came of it.
    #[track_caller]
    pub fn does(&mut self, order: &Value) -> Value {
        let mut line = String::new();
        let orders = self.orders.as_mut().unwrap();
        let sent = writeln!(orders, "{order}").and_then(|()| self.said.read_line(&mut line));
        let said = serde_json::from_str(&line);
        said.unwrap_or_else(|error| panic!("{order}: {sent:?}, {error} in {line:?}: {}", self.errors()))
    }

    #[track_caller]
    pub fn calls(&mut self, tool: &str, arguments: &Value) -> Answer {
        let mut said = self.does(&json!({"do": "call", "name": tool, "arguments": arguments}));
        let text = said["text"].as_str().unwrap_or_else(|| panic!("{tool}: {said}")).to_owned();
        Answer { text, value: said["value"].take(), is_error: said["is_error"] == true }
    }

    /// The names of the tools that there are.
    #[track_caller]
    pub fn tools(&mut self) -> Vec<String> {
        let tools = self.does(&json!({"do": "tools"}));
        tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// How often it was told that there are other tools.
    pub fn changes(&mut self) -> u64 {
        self.does(&json!({"do": "changes"})).as_u64().unwrap()
    }

    /// What it and the server said on stderr.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Assistant {
    fn drop(&mut self) {
        // The end of its orders is the end of both.
        self.orders = None;
        drop(self.child.wait());
    }
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp").join(name)
}

/// Where the modules are; none where there is no Python.
fn modules() -> Option<&'static Path> {
    static MODULES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let modules = || Modules::python("`mosaic-fed mcp`", place("requirements.txt"));
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("assistant");
    MODULES.get_or_init(|| modules().installed(&base).unwrap()).as_deref()
}
