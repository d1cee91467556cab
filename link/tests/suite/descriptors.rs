//! A machine without free descriptors: the accept loop rests, does not burn a core, and goes on when there are some again.
//!
//! The limit holds for a whole process, so the test runs itself once more as a child of a shell that has lowered it.

use super::{
    caller::who,
    sharing::{GRANT, Sharing},
};
use link::Class;
use std::{
    env,
    fs::File,
    io::{Read, Seek},
    process::Command,
    time::Duration,
};
use tokio::net::TcpStream;

const CHILD: &str = "MOSAIC_FED_TEST_FEW_DESCRIPTORS";

#[test]
fn accept_errors() {
    let exe = env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact descriptors::with_few_descriptors --nocapture"])
        .arg(exe)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn with_few_descriptors() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let mut stat = File::open("/proc/self/stat").unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    // The last free descriptor is the caller's; the listener finds none for its end.
    taken.pop();
    let waiting = TcpStream::connect(opened.address).await.unwrap();
    assert_eq!(opened.incident().await.class, Class::Exhausted);
    let before = cpu(&mut stat);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let burnt = cpu(&mut stat).saturating_sub(before);
    assert!(burnt < Duration::from_millis(500), "{burnt:?} of a second burnt");
    drop(taken);
    drop(waiting);
    let (_, credential) = sharing.issue(GRANT);
    let target = sharing.target(&opened, Some(credential));
    let dialled = tokio::time::timeout(Duration::from_secs(1), sharing.dialler().dial(&target)).await.unwrap().unwrap();
    who(&dialled).await.unwrap();
}

/// Processor time of this process (proc(5): fields 14 and 15 of stat, in hundredths of a second).
fn cpu(stat: &mut File) -> Duration {
    let mut text = String::new();
    stat.rewind().unwrap();
    stat.read_to_string(&mut text).unwrap();
    let after_name = text.rsplit(')').next().unwrap();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
