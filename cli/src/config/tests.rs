use super::*;

fn read(text: &str, variables: &[(&str, &str)]) -> Outcome<Config> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn an_unknown_key_is_refused_with_the_known_ones_listed() {
    let failure = read("log = \"warn\"\nlisten_on = \"[::]:1\"\n", &[]).unwrap_err();
    assert!(failure.cause.contains("line 2") && failure.cause.contains("listen_on"), "{}", failure.cause);
    assert!(failure.next.unwrap().contains("listen"));
    assert!(read("", &[("MOSAIC_FED_LISTN", "x")]).unwrap_err().cause.contains("MOSAIC_FED_LISTN"));
}

#[test]
fn text_without_quote_marks_is_told_as_that_and_its_value_never() {
    for (line, key) in
        [("log = info", "log"), ("log = warn,spoke=debug", "log"), ("postgres=postgres://u:hunter2@h/d", "postgres")]
    {
        let Failure { cause, next, .. } = read(&format!("listen = \"[::]:1\"\n{line}\n"), &[]).unwrap_err();
        assert!(cause.ends_with(&format!("line 2: the value of `{key}` is text without quote marks")), "{cause}");
        assert_eq!(next.unwrap(), format!("put it between them, as in {key} = \"…\""));
    }
}

#[test]
fn a_setting_that_is_there_twice_is_named_and_its_value_never() {
    let text = "listen = \"[::]:1\"\ncertificate_life = \"24h\"\ncertificate_life = \"hunter2\"\n";
    let Failure { cause, next, .. } = read(text, &[]).unwrap_err();
    assert!(cause.ends_with("line 3: `certificate_life` is there twice"), "{cause}");
    assert_eq!(next.unwrap(), "leave one of the two lines");
}

#[test]
fn a_variable_wins_over_the_file_and_lists_are_split_at_commas() {
    let variables = [("MOSAIC_FED_LISTEN", "127.0.0.1:9"), ("MOSAIC_FED_ADVERTISE", "a.example, b.example")];
    let config = read("listen = \"127.0.0.1:8\"", &variables).unwrap();
    assert_eq!(config.listen.port(), 9);
    assert_eq!(config.advertise, ["a.example", "b.example"]);
    let failure = read("", &[("MOSAIC_FED_LOG", "warn"), ("MOSAIC_FED_LISTEN", "nowhere")]).unwrap_err();
    assert!(failure.cause.contains("MOSAIC_FED_LISTEN") && failure.next.is_some(), "{}", failure.cause);
}

#[test]
fn an_advertised_host_has_no_port_and_can_be_one() {
    for good in ["127.0.0.1", "::1", "office.example", "office", "a_b.example.", "2001:db8::7"] {
        assert_eq!(host(good).as_deref(), Ok(good));
    }
    for port in ["127.0.0.1:99", "foo:0", "foo:", ":5", "[::1]:99", "office.example:7443"] {
        assert!(host(port).unwrap_err().contains("names a port"), "{port}");
    }
    for bad in
        ["", "a b", "http://x/", "http://x:80", "-x", "999.1.1.1", "x,y", "a..b", "0.0.0.0", "::", "fe80::1%eth0"]
    {
        assert!(host(bad).unwrap_err().contains("; write a name or an IP address"), "{bad}");
    }
    let failure = read("advertise = [\"127.0.0.1:99\"]", &[]).unwrap_err();
    assert!(failure.cause.contains("config.toml") && failure.cause.contains("`127.0.0.1:99`"), "{}", failure.cause);
    assert_eq!(failure.next.unwrap(), "write the host alone, as in 127.0.0.1");
    let failure = read("", &[("MOSAIC_FED_ADVERTISE", "127.0.0.1:99")]).unwrap_err();
    assert!(failure.cause.starts_with("the environment: `advertise` has"), "{}", failure.cause);
}

#[test]
fn a_port_alone_is_answered_with_an_address_that_has_it() {
    for text in ["24601", ":24601"] {
        assert!(address(text).unwrap_err().contains("127.0.0.1:24601"), "{text}");
    }
    assert!(read("listen = \"localhost:1\"", &[]).unwrap_err().cause.contains("127.0.0.1:24601"));
}

#[test]
fn an_address_that_is_a_number_is_told_what_an_address_is() {
    for (line, key, port) in [
        ("http = 21480", "http", 21480),
        ("listen = 21480 # here", "listen", 21480),
        ("metrics_listen = 0x10000", "metrics_listen", 24601),
    ] {
        let Failure { cause, next, .. } = read(line, &[]).unwrap_err();
        assert!(
            cause.ends_with(&format!("line 1: `{key}` is a number alone, and not an IP address with a port")),
            "{cause}"
        );
        let shown =
            format!("between quote marks, as in {key} = \"127.0.0.1:{port}\", or {key} = \"[::]:{port}\" for all");
        assert!(next.unwrap().ends_with(&shown), "{cause}");
    }
    let bare = read("http = 127.0.0.1:21480", &[]).unwrap_err();
    assert!(bare.cause.ends_with("the value of `http` is text without quote marks"), "{}", bare.cause);
}

#[test]
fn a_file_that_is_no_text_is_told_as_that_with_the_line() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("config.toml");
    std::fs::write(&path, b"log = \"warn\"\n# B\xfcro\n").unwrap();
    let Failure { exit, cause, next, .. } = Config::read(&path, std::iter::empty()).unwrap_err();
    assert!(cause.ends_with("config.toml, line 2: this is no UTF-8 text"), "{cause}");
    assert!(exit == Exit::Usage && next.unwrap().starts_with("save it as UTF-8"), "{cause}");
}

#[test]
fn a_ca_is_whole_or_not_there() {
    let whole = "[ca]\nurl = \"https://ca.example:9000\"\nroot = \"/r\"\nkey_file = \"/k\"";
    let ca = read(whole, &[]).unwrap().ca.unwrap();
    assert_eq!((ca.url.as_str(), ca.provisioner.as_str()), ("https://ca.example:9000", "mosaic-fed"));
    let variables = [
        ("MOSAIC_FED_CA_URL", "https://other.example"),
        ("MOSAIC_FED_CA_ROOT", "/s"),
        ("MOSAIC_FED_CA_KEY_FILE", "/l"),
        ("MOSAIC_FED_CA_PROVISIONER", "ours"),
    ];
    let ca = read("", &variables).unwrap().ca.unwrap();
    assert_eq!((ca.url.as_str(), ca.provisioner.as_str()), ("https://other.example", "ours"));
    assert_eq!(read(whole, &variables).unwrap().ca.unwrap(), ca);
    let failure = read("[ca]\nurl = \"https://ca.example\"", &[]).unwrap_err();
    assert!(failure.cause.contains("no `root`"), "{}", failure.cause);
    let failure = read(&whole.replace("https:", "http:"), &[]).unwrap_err();
    assert!(failure.cause.contains("`url` of `[ca]`") && failure.next.unwrap().contains("https://"));
    assert!(read("[ca]\nurls = \"x\"", &[]).unwrap_err().cause.contains("line 2"));
    assert!(read("ca = 5", &[]).unwrap_err().cause.contains("line 1"));
}

#[test]
fn lists_are_off_until_they_are_named_and_refused_where_they_cannot_be() {
    let read_both = read("crl_listen = \"[::]:7445\"\ncrl_source = \"http://ca.example/crl.der\"", &[]).unwrap();
    assert!(read_both.crl_listen.is_some() && Config::default().crl_listen.is_none());
    let failure = read("crl_source = \"https://ca.example/crl.der\"", &[]).unwrap_err();
    assert!(failure.cause.contains("`crl_source`") && failure.next.unwrap().contains("http://"));
    assert!(read("crl_listen = \"[::]:7443\"", &[]).unwrap_err().cause.contains("`crl_listen`"));
    assert!(read("crl_listen = \"7445\"", &[]).unwrap_err().cause.contains("line 1"));
}

#[test]
fn a_password_in_a_broken_file_is_not_repeated() {
    let failure = read("postgres = \"postgres://u:hunter2@h/db\" x", &[]).unwrap_err();
    assert!(!failure.cause.contains("hunter2"), "{}", failure.cause);
    assert_eq!(without_secrets("postgres://u:hunter2@db.example:5433/mosaic?sslkey=x"), "db.example:5433/mosaic");
}

#[test]
fn the_written_file_reads_back_and_every_key_is_documented() {
    let written = Config::default().to_text().unwrap();
    assert_eq!(read(&written, &[]).unwrap(), Config::default());
    let page = include_str!("../../../docs/configuration.md");
    for key in KEYS {
        assert!(page.contains(&format!("| `{key}` |")), "docs/configuration.md lacks {key}");
    }
    let some = || vec!["*".to_owned()];
    let proxy = Proxy { except: some(), names: some(), auth_file: Some("/p".into()), ..Proxy::default() };
    let all = Config { ca: Some(Ca::default()), proxy: Some(proxy), ..Config::default() }.to_text().unwrap();
    for (key, value) in toml::from_str::<toml::Table>(&all).unwrap() {
        let inner = value.as_table().map(|table| table.keys().map(|inner| format!("{key}.{inner}")).collect());
        for key in inner.unwrap_or_else(|| vec![key]) {
            assert!(KEYS.contains(&key.as_str()), "{key}");
        }
    }
}
