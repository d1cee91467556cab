//! What the kernel says of processes: processor time and memory, from outside, so that measuring costs them nothing.

use anyhow::{Context, Result};
use std::{fs, time::Duration};

/// `USER_HZ`: the unit of times in `/proc/PID/stat` on every Linux we run on (proc(5)).
const TICKS: u32 = 100;

/// Processor time of a server and of its PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The process itself.
    pub server: Duration,
    /// The postmaster and all its backends, ended ones too.
    pub postgres: Duration,
}

impl Spent {
    /// What was spent since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let less = Duration::saturating_sub;
        Self { server: less(self.server, before.server), postgres: less(self.postgres, before.postgres) }
    }
}

/// A server with its PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Process id of the server.
    pub server: u32,
    /// Process id of its postmaster.
    pub postmaster: u32,
}

impl Meter {
    /// What was spent so far.
    pub fn read(self) -> Result<Spent> {
        let server = stat(self.server)?.own;
        let postmaster = stat(self.postmaster)?;
        let backends = backends(self.postmaster).map(|stat| stat.own).sum::<u32>();
        Ok(Spent { server: ticks(server), postgres: ticks(postmaster.own + postmaster.ended + backends) })
    }
}

/// Resident memory of a process in bytes: all of it, and its share of what it has in common with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `Rss`.
    pub resident: u64,
    /// `Pss`.
    pub proportional: u64,
}

/// Memory of a process (proc(5): `smaps_rollup`).
pub fn memory(pid: u32) -> Result<Memory> {
    let text = read(pid, "smaps_rollup")?;
    let kibibytes = |name: &str| -> Result<u64> {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)).context("a line is missing in smaps_rollup")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
    };
    Ok(Memory { resident: kibibytes("Rss:")?, proportional: kibibytes("Pss:")? })
}

/// Times of a process in ticks, and whose child it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u32,
    ended: u32,
}

fn stat(pid: u32) -> Result<Stat> {
    parse(&read(pid, "stat")?).with_context(|| format!("/proc/{pid}/stat is not what it should be"))
}

fn read(pid: u32, file: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid} cannot be looked at"))
}

/// Fields 4 and 14 to 17 of proc(5); the name in field 2 may hold blanks and brackets.
fn parse(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(Stat { parent: number(1)?, own: number(11)? + number(12)?, ended: number(13)? + number(14)? })
}

fn backends(postmaster: u32) -> impl Iterator<Item = Stat> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    // Whoever ends meanwhile is among those that ended.
    pids.filter_map(|pid| stat(pid).ok()).filter(move |stat| stat.parent == postmaster)
}

fn ticks(ticks: u32) -> Duration {
    Duration::from_secs(ticks.into()) / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = "77 (post) gres: x) S 12 77 77 0 -1 4194560 1 0 0 0 30 12 5 6 20 0 1 0 99";
        assert_eq!(parse(line), Some(Stat { parent: 12, own: 42, ended: 11 }));
        assert_eq!(parse("77 (short) S 1"), None);
    }

    #[test]
    fn this_very_process_has_a_parent_and_memory() {
        let pid = std::process::id();
        assert!(stat(pid).unwrap().parent > 0);
        let memory = memory(pid).unwrap();
        assert!(memory.resident >= memory.proportional && memory.proportional > 0, "{memory:?}");
    }

    #[test]
    fn what_was_spent_is_a_difference_that_never_goes_below_nothing() {
        let spent = |server, postgres| Spent { server: ticks(server), postgres: ticks(postgres) };
        assert_eq!(spent(130, 20).since(spent(30, 25)), spent(100, 0));
        assert_eq!(spent(100, 0).server, Duration::from_secs(1));
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_with_its_number() {
        assert!(stat(u32::MAX).unwrap_err().to_string().contains(&u32::MAX.to_string()));
    }
}
