//! Where the sharing side's processor time goes, by sampling: `perf record` beside a stretch of load, its samples sorted by the
//! library that was running. A sample counts for the innermost function, so that the shares add up; what a library calls (the
//! kernel, the allocator, copying) is counted there and not with its caller.

use super::{
    Doors, Sharing,
    calls::{Variant, WARM},
};
use crate::load::{Stretch, run};
use anyhow::{Context, Result, ensure};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tokio::process::Command;

/// Samples each second and processor.
const FREQUENCY: &str = "997";
/// The variants that are worth looking into.
const LOOKED_AT: [Variant; 3] = [Variant::Hello, Variant::Recorded, Variant::RecordedRows];

/// What a library is to a call. Of all marks in a function's name and file, the one furthest to the left says whose it is.
const LAYERS: [(&str, &[&str]); 9] = [
    ("kernel: sockets, wake-ups, scheduling", &["[kernel", "[k]", "[vdso]"]),
    ("TLS", &["aws_lc", "rustls", "gcm_", "aes_", "aesni", "sha256_block", "p256", "chacha"]),
    ("database client", &["sqlx"]),
    ("HTTP/2 and gRPC", &["h2::", "hyper", "tonic", "http::", "tower", "axum", "http_body", "httparse"]),
    ("protobuf", &["prost", "proto::"]),
    ("gates, records, rows", &["spoke", "store", "domain", "link::", "governor", "serde", "sha2", "uuid", "time::"]),
    ("runtime", &["tokio", "mio", "futures", "parking_lot", "crossbeam", "slab"]),
    ("tracing", &["tracing"]),
    (MEMORY, &["malloc", "free", "unlink_chunk", "mem", "alloc", "drop_in_place", "bytes::", "core::fmt", "core::str"]),
];
const MEMORY: &str = "allocating, copying, formatting";
const OTHER: &str = "other";

/// The shares of one variant's processor time, in the order of [`LAYERS`].
#[derive(Clone, Debug)]
pub struct Profile {
    /// Which variant.
    pub name: &'static str,
    /// How many callers asked.
    pub callers: usize,
    /// Layer and share, 0 to 1.
    pub shares: Vec<(&'static str, f64)>,
    /// The functions with the largest shares.
    pub functions: Vec<(String, f64)>,
}

/// Samples each variant for `long` under `callers` callers.
pub async fn measure(sharing: &Sharing, doors: &Doors, callers: usize, long: Duration) -> Result<Vec<Profile>> {
    let directory = tempfile::tempdir()?;
    let mut profiles = Vec::new();
    for variant in LOOKED_AT {
        let file = directory.path().join("samples");
        let (stretch, ask) = (Stretch { warm: WARM, long }, variant.ask());
        let load = run(variant.door(doors), &ask, callers, stretch, sharing.meter());
        let (slot, recorded) = tokio::join!(load, record(sharing.child.pid, long, &file));
        slot.and(recorded)?;
        let samples = samples(&report(&file).await?);
        let functions = samples.iter().take(12).cloned().collect();
        profiles.push(Profile { name: variant.name(), callers, shares: shares(&samples), functions });
    }
    Ok(profiles)
}

async fn record(pid: u32, long: Duration, into: &Path) -> Result<()> {
    tokio::time::sleep(WARM).await;
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "-p"]).arg(pid.to_string()).arg("-o").arg(into);
    let ended = perf.arg("--").arg("sleep").arg(long.as_secs_f64().to_string()).output().await;
    let ended = ended.context("perf cannot be run; install linux-perf, or leave the profile out")?;
    ensure!(ended.status.success(), "perf record failed: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}

async fn report(file: &Path) -> Result<String> {
    let mut perf = Command::new("perf");
    perf.args(["report", "--stdio", "--no-children", "-q", "--sort", "dso,symbol", "-t", "\t", "-i"]).arg(file);
    let report = perf.output().await?;
    ensure!(report.status.success(), "perf report failed: {}", String::from_utf8_lossy(&report.stderr));
    Ok(String::from_utf8_lossy(&report.stdout).into_owned())
}

/// `12.34%<tab>file<tab>[.] function`, largest first.
fn samples(report: &str) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let (share, rest) = line.trim().split_once('\t')?;
        let share: f64 = share.trim().trim_end_matches('%').parse().ok()?;
        let words: Vec<_> = rest.split_whitespace().filter(|word| *word != "-").collect();
        Some((words.join(" "), share / 100.0))
    };
    report.lines().filter_map(line).collect()
}

fn shares(samples: &[(String, f64)]) -> Vec<(&'static str, f64)> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (function, share) in samples {
        *sums.entry(layer(function)).or_default() += share;
    }
    let names = LAYERS.iter().map(|(name, _)| *name).chain([OTHER]);
    names.map(|name| (name, sums.get(name).copied().unwrap_or_default())).collect()
}

fn layer(function: &str) -> &'static str {
    let first = |marks: &[&str]| marks.iter().filter_map(|mark| function.find(mark)).min();
    let found = LAYERS.iter().filter_map(|(name, marks)| Some((first(marks)?, *name)));
    found.min_by_key(|(at, _)| *at).map_or(OTHER, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_with_its_shares_and_sorted_into_layers() {
        let report = "\n 40.00%\tbench\t[.] aws_lc_0_1_aesni_gcm_encrypt\n 35.50%\t[kernel.kallsyms]\t[k] tcp_sendmsg\n\
                      10.00%\tbench\t[.] h2::codec::framed_write::flush\n 2.00%\tlibc.so.6\t[.] malloc\nnonsense\n";
        let samples = samples(report);
        assert_eq!(samples.len(), 4);
        let shares: BTreeMap<_, _> = shares(&samples).into_iter().collect();
        assert_eq!((shares["TLS"], shares["HTTP/2 and gRPC"], shares[MEMORY]), (0.4, 0.1, 0.02));
        assert_eq!(shares["kernel: sockets, wake-ups, scheduling"], 0.355);
    }

    #[test]
    fn a_function_that_nobody_knows_is_counted_as_other() {
        assert_eq!(layer("bench [.] main"), OTHER);
    }

    #[test]
    fn what_holds_another_library_s_part_is_its_own() {
        assert_eq!(layer("bench [.] tokio::runtime::task::raw::poll::<hyper::Connection<link::Accepted>>"), "runtime");
        assert_eq!(layer("bench [.] <store::postgres::row::Row as tokio::Any>::read"), "gates, records, rows");
    }
}
