//! Behind a network that lets nobody out but an HTTP proxy: everything of a link goes through it, and each answer of a proxy but the good one is told
//! with who can change it. Once with a proxy of the test's own that notes what it was asked, once with a real one.

use super::harness::{Instance, Ran, free_port, pause};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// An address of nobody (RFC 5737): whoever is reached by it was reached through the proxy.
const FAR: &str = "198.51.100.7";
/// `dana:the-password-of-the-proxy`
const BASIC: &str = "Proxy-Authorization: Basic ZGFuYTp0aGUtcGFzc3dvcmQtb2YtdGhlLXByb3h5";
const PASSWORD: &str = "the-password-of-the-proxy";

/// A proxy that leads every address to this machine, at the same port.
struct Carrier {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    says: Arc<Mutex<Option<&'static str>>>,
}

impl Carrier {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let carrier = Self { port, asked: Arc::default(), says: Arc::default() };
        let (asked, says) = (Arc::clone(&carrier.asked), Arc::clone(&carrier.says));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (asked, says) = (Arc::clone(&asked), Arc::clone(&says));
                thread::spawn(move || drop(serve(socket, &asked, &says)));
            }
        });
        carrier
    }

    /// Every host and port that it was asked for.
    fn places(&self) -> BTreeSet<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter_map(|head| head.split(' ').nth(1)).map(ToOwned::to_owned).collect()
    }

    /// Answers so from now on; `None`: it carries.
    fn says(&self, answer: Option<&'static str>) {
        *self.says.lock().unwrap() = answer;
    }
}

fn serve(mut socket: TcpStream, asked: &Mutex<Vec<String>>, says: &Mutex<Option<&'static str>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    asked.lock().unwrap().push(head.clone());
    let answer = *says.lock().unwrap();
    if let Some(answer) = answer {
        return socket.write_all(answer.as_bytes());
    }
    if !head.contains(BASIC) {
        return socket.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n");
    }
    let port =
        head.split([' ', ':']).nth(2).and_then(|port| port.parse::<u16>().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let there = TcpStream::connect(("127.0.0.1", port))?;
    socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (from, to) = (socket.try_clone()?, there.try_clone()?);
    thread::spawn(move || carry(from, to));
    carry(there, socket);
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(std::net::Shutdown::Both));
    drop(from.shutdown(std::net::Shutdown::Both));
}

/// Changes the settings of an instance that does not run: whole lines, and what is added at the end.
fn settings(instance: &Instance, lines: &[(&str, &str)], added: &str) {
    let path = instance.data().join("config.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (line, by) in lines {
        assert!(text.contains(line), "{line} in {text}");
        text = text.replace(line, by);
    }
    fs::write(path, text + added).unwrap();
}

const LOOPBACK: (&str, &str) = ("dial_allow = [\"127.0.0.0/8\", \"::1/128\"]\n", "");

fn invite(office: &Instance) -> String {
    office.types("invite alice-home --share tasks --personal").done().out
}

fn linked(home: &Instance, invite: &str) -> Ran {
    home.run(&["link", invite.trim(), "--yes", "--name", "work"])
}

fn fails_at_reach(home: &Instance, words: &[&str]) {
    let ping = home.types("ping work --json");
    assert_ne!(ping.code, 0, "{ping:?}");
    let said = ping.json().to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

/// Waits until the link has a session, which is begun by itself.
fn in_touch(home: &Instance) {
    let end = Instant::now() + Duration::from_mins(1);
    while home.types("links --json").done().json()[0]["session"].is_null() {
        assert!(Instant::now() < end, "no session through the proxy");
        pause();
    }
}

fn lives(home: &Instance) {
    let asked = home.types("list tasks --from work --strict --fresh").done();
    assert!(asked.out.contains("one of the office"), "{asked:?}");
    home.types("ping work").done();
    in_touch(home);
}

/// A tenth of the shortest life must be over before.
fn renewed(home: &Instance) {
    let end = Instant::now() + Duration::from_mins(2);
    loop {
        let ran = home.types("renew work");
        if ran.code == 0 {
            return;
        }
        assert!(ran.err.contains("was not renewed") && Instant::now() < end, "{ran:?}");
        // Who asks all the time is told to wait longer.
        (0..100).for_each(|_| pause());
    }
}

fn ended(office: &Instance) {
    let revoked = office.types("grant revoke alice-home --json").done().json();
    assert!(revoked["receipt"].to_string().contains("acknowledged"), "{revoked}");
}

#[test]
fn everything_of_a_link_goes_through_the_proxy_and_its_password_is_nowhere() {
    let carrier = Carrier::start();
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    let far = format!("advertise = [\"{FAR}\"]");
    let short = ("certificate_life = \"24h\"", "certificate_life = \"5m\"");
    settings(&office, &[("advertise = [\"127.0.0.1\"]", &far), short], "");
    office.serve();
    office.run(&["add", "tasks", "one of the office"]).done();

    let invite = invite(&office);
    let proxy = format!("\n[proxy]\nurl = \"http://127.0.0.1:{}\"\n", carrier.port);
    settings(&home, &[LOOPBACK], &proxy);
    home.serve();
    linked(&home, &invite).fails(8, &["(407)", "`auth_file` of `[proxy]`", "the invite was not used"]);

    home.stop();
    let file = home.file("proxy-password", format!("dana:{PASSWORD}\n"));
    settings(&home, &[("log = \"info\"", "log = \"trace\"")], &format!("auth_file = \"{}\"\n", file.display()));
    home.run(&["serve"]).fails(5, &["others may read the proxy's password", "chmod 600"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    home.serve();
    linked(&home, &invite).done();
    lives(&home);
    let (links, enrolment) = (format!("{FAR}:{}", office.links), format!("{FAR}:{}", office.enrolment));
    assert_eq!(carrier.places(), BTreeSet::from([links.clone(), enrolment]), "the judged addresses and nothing else");

    for (answer, words) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", ["reach", "does not allow a connection to", "(403)", "allow CONNECT"]),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", ["reach", "came to no connection with", "(502)", &links]),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n",
            ["reach", "points elsewhere", "(302)", "not followed"],
        ),
        ("SSH-2.0-x\r\n", ["reach", "does not answer as one", "`url` of `[proxy]`", "http://127.0.0.1"]),
    ] {
        carrier.says(Some(answer));
        fails_at_reach(&home, &words);
    }
    for answer in ["HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n\r\n"] {
        carrier.says(Some(answer));
        let ping = home.types("ping work");
        ping.fails(7, &[&format!("it is the proxy http://127.0.0.1:{} that is between", carrier.port), &links]);
        assert!(!["nc -vz", "prints has more"].iter().any(|word| ping.err.contains(word)), "{ping:?}");
    }
    carrier.says(None);
    home.types("ping work").done();
    assert!(home.types("links --json").done().json()[0]["proxy"].is_null(), "it carries again");
    renewed(&home);
    lives(&home);
    ended(&office);
    let log = fs::read_to_string(home.base.path().join("serve.log")).unwrap();
    let encoded = BASIC.rsplit(' ').next().unwrap();
    assert!(log.contains("TRACE") && !log.contains(PASSWORD) && !log.contains(encoded), "a password in the log");
}

/// A proxy as people have one, with these lines of settings besides.
struct Tinyproxy(Child);

impl Tinyproxy {
    fn start(home: &Instance, port: u16, lines: &str) -> Self {
        let settings = format!("Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Error\n{lines}");
        let file = home.file("tinyproxy.conf", settings);
        let mut command = Command::new("tinyproxy");
        let child =
            command.arg("-d").arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut started = Self(child.spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.0.try_wait().unwrap().is_none() && Instant::now() < end, "tinyproxy does not start");
            pause();
        }
        started
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An address of this machine that others could reach, if tinyproxy is there; else it is said loudly, and where `CI` is `true` a failure.
fn outside() -> Option<String> {
    let on_path = env::split_paths(&env::var_os("PATH")?).any(|dir| dir.join("tinyproxy").is_file());
    // Nothing is sent: the kernel says by which of its addresses it would be.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let address = socket.connect((FAR, 9)).and_then(|()| socket.local_addr()).ok().map(|at| at.ip());
    let found = address.filter(|ip| on_path && !ip.is_loopback() && !ip.is_unspecified());
    if found.is_none() {
        let said = "LEFT OUT: there is no tinyproxy on PATH, or no network but loopback, so no real proxy was tried";
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "{said}");
        writeln!(io::stderr(), "\n*** {said} ***\n").unwrap();
    }
    found.map(|ip| ip.to_string())
}

#[test]
fn a_real_proxy_carries_a_link_and_what_it_answers_is_told() {
    let Some(ip) = outside() else { return };
    let (mut office, mut home, port) = (Instance::made("office"), Instance::made("home"), free_port());
    let at = |port: u16| (format!("\"127.0.0.1:{port}\""), format!("\"{ip}:{port}\""));
    let (links, enrolment) = (at(office.links), at(office.enrolment));
    let advertised = format!("advertise = [\"{ip}\"]");
    let changed = [(&*links.0, &*links.1), (&enrolment.0, &enrolment.1), ("advertise = [\"127.0.0.1\"]", &advertised)];
    settings(&office, &changed, "");
    office.serve();
    office.run(&["add", "tasks", "one of the office"]).done();
    let file: PathBuf = home.file("proxy-password", "dana:secret\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    settings(
        &home,
        &[LOOPBACK],
        &format!("\n[proxy]\nurl = \"http://127.0.0.1:{port}\"\nauth_file = \"{}\"\n", file.display()),
    );
    home.serve();

    let invite = invite(&office);
    linked(&home, &invite).fails(8, &["cannot be reached", "`url` of `[proxy]`"]);
    let allowed = format!("ConnectPort {}\nConnectPort {}\n", office.links, office.enrolment);
    let proxy = Tinyproxy::start(&home, port, &format!("BasicAuth dana other\n{allowed}"));
    linked(&home, &invite).fails(8, &["does not take the name and password", "(401)"]);
    drop(proxy);
    let right = format!("BasicAuth dana secret\n{allowed}");
    let proxy = Tinyproxy::start(&home, port, &right);
    linked(&home, &invite).done();
    lives(&home);
    drop(proxy);
    let proxy = Tinyproxy::start(&home, port, "BasicAuth dana secret\nConnectPort 1\n");
    fails_at_reach(&home, &["reach", "(403)", "allow CONNECT"]);
    drop(proxy);
    let _proxy = Tinyproxy::start(&home, port, &right);
    home.types("ping work").done();
    in_touch(&home);
    ended(&office);
}
