//! The HTTP port held to what `docs/api/openapi.json` says of it, by schemathesis: made-up requests, good and bad, with a real token at a real
//! daemon, and every check that it has on what comes back. `tests/conformance` has what it is told, with a reason for each line.
//!
//! Half a minute of it for every change; in the large setting a quarter of an hour, and its stateful phase too.

use super::{modules::Modules, port};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TOLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/openapi.json");

#[test]
fn what_the_port_answers_is_what_its_page_says() {
    let Some(place) = installed() else { return };
    let (instance, at) = port::open();
    for line in [
        "user add alice",
        "team add core",
        "team join core alice",
        "add tasks one --team core",
        "invite x --share tasks",
    ] {
        instance.types(line).done();
    }
    let token = instance.types("token add conformance").done().out.trim().to_owned();
    let is_large = std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large");
    let (seconds, phases) =
        if is_large { (900, "examples,coverage,fuzzing,stateful") } else { (30, "examples,coverage,fuzzing") };
    let mut command = Command::new("python3");
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(Path::new(TOLD).join("schemathesis.toml"));
    command.args([
        "run",
        PAGE,
        "--url",
        &format!("http://{at}"),
        "--header",
        &format!("authorization: Bearer {token}"),
    ]);
    command.args([
        "--phases",
        phases,
        "--checks",
        "all",
        "--continue-on-failure",
        "--request-timeout",
        "60",
        "--no-color",
    ]);
    // By chance only in the large setting; what that finds gets a test of its own.
    if !is_large {
        command.args(["--seed", "1"]);
    }
    command.args(["--max-time", &i32::to_string(&seconds)]);
    let found = std::env::join_paths([Path::new(TOLD), &place]).unwrap();
    command.env("PYTHONPATH", found).env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONDONTWRITEBYTECODE", "1");
    let ran = command.current_dir(instance.base.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    let counted = said.lines().find_map(|line| line.trim().split_once(" generated, ")?.0.parse::<u32>().ok());
    assert!(counted.is_some_and(|cases| cases > 200), "it asked too little: {said}");
    assert_eq!(port::ask(&at, &token, "GET /v1/me").0, 200, "the daemon and its user are there as before");
}

/// A folder with schemathesis in it; none where there is no Python.
fn installed() -> Option<PathBuf> {
    let modules = Modules::python("the HTTP port", Path::new(TOLD).join("requirements.txt"));
    modules.installed(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis")).unwrap()
}
