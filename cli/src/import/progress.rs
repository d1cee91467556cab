//! How far an import is, on stderr and only where a person sees it: bytes of the files read, rows taken.

use crate::out::Out;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};

/// A bar, or nothing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress(ProgressBar);

/// Rows first: they are what is waited for.
const SHAPE: &str = "{msg} {bar:30} {bytes} of {total_bytes}";

impl Progress {
    /// Shows nothing.
    pub fn none() -> Self {
        Self(ProgressBar::hidden())
    }

    /// A bar for as many bytes as `bytes` counts, if people read what is printed here.
    pub fn of(bytes: impl FnOnce() -> u64, out: &Out) -> Self {
        if out.json || !io::stderr().is_terminal() {
            return Self::none();
        }
        let bar = ProgressBar::new(bytes());
        // A template that does not parse leaves the library's own.
        if let Ok(style) = ProgressStyle::with_template(SHAPE) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// So many bytes more were read.
    pub fn bytes(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// So many rows were read in all.
    pub fn rows(&self, rows: u64) {
        self.0.set_message(crate::rooms::counted(rows, "row"));
    }

    /// Takes the bar away: what follows is the report.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
