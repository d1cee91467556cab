//! Everything that a run found, part by part; what was not measured is absent.

use crate::{
    parts::{
        calls::Calls, chunks::Chunks, cuts::Cuts, ends::Ends, fan::Fan, memory::PerLink, pages::Pages,
        profile::Profile, telemetry::Telemetry,
    },
    words::Decided,
};

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Under what circumstances.
    pub machine: Machine,
    /// Calls under load.
    pub calls: Option<Calls>,
    /// Chunks of a long answer.
    pub chunks: Option<Chunks>,
    /// Decisions among many grants.
    pub decided: Option<Decided>,
    /// Revocations, by size.
    pub cuts: Vec<Cuts>,
    /// Memory of an idle link.
    pub memory: Option<PerLink>,
    /// Revocations among live control sessions.
    pub ends: Option<Ends>,
    /// One question to many sources.
    pub fan: Option<Fan>,
    /// Pages among few and many rows.
    pub pages: Option<Pages>,
    /// What telling of calls costs.
    pub telemetry: Option<Telemetry>,
    /// Where processor time goes.
    pub profiles: Vec<Profile>,
}

/// What the run was made on.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Processors.
    pub processors: usize,
    /// What the processor calls itself.
    pub model: String,
    /// `uptime`'s load of the last minute when the run began.
    pub load: String,
    /// The version of PostgreSQL.
    pub postgres: String,
    /// Whether this program was built to be fast.
    pub optimised: bool,
    /// Rounds and seconds of a slot.
    pub rounds: (usize, f64),
}

impl Machine {
    /// This one, now.
    pub fn now(rounds: (usize, f64)) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.map_or("a processor", |(_, model)| model).trim().to_owned(),
            load,
            postgres: String::new(),
            optimised: !cfg!(debug_assertions),
            rounds,
        }
    }
}
