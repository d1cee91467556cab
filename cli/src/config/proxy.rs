//! The part of the settings that names a proxy: where it is, what is dialled without it, which names it looks up, and who it is told that we are.

use crate::{
    exit::{Exit, Failure, Outcome},
    private,
};
use link::dial::{
    Proxy as Dialled,
    proxy::{Credentials, Place},
};
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};

/// Variables by which other programs are told of a proxy. This one reads none of them: its surroundings do not choose where it dials.
const OF_OTHERS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// An HTTP proxy through which other instances are dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Where it is, as in `http://proxy.example:3128`.
    pub url: String,
    /// Names, addresses and networks that are dialled without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Names that it looks up itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// A file with `NAME:PASSWORD` for it, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_file: Option<PathBuf>,
}

impl Proxy {
    pub(super) fn checked(&self) -> Outcome<()> {
        self.read().map(drop)
    }

    /// All of it but the password.
    fn read(&self) -> Outcome<Dialled> {
        let refused = |key: &str, why: &str| {
            let (why, next) = why.split_once("; ").unwrap_or((why, "write it as docs/configuration.md says"));
            Failure::new(Exit::Usage, format!("`{key}` of `[proxy]`: {why}")).next(next)
        };
        if self.url.is_empty() {
            let next = "write it, as in url = \"http://proxy.example:3128\", or take `[proxy]` away";
            return Err(Failure::new(Exit::Usage, "`[proxy]` has no `url`").next(next));
        }
        let proxy = Dialled::parse(&self.url).map_err(|why| refused("url", why))?;
        let places = |key: &str, texts: &[String]| {
            let place = |text: &String| text.parse::<Place>().map_err(|why| refused(key, &format!("`{text}` {why}")));
            texts.iter().map(place).collect::<Outcome<Vec<_>>>()
        };
        let (except, names) = (places("except", &self.except)?, places("names", &self.names)?);
        if let Some(net) = names.iter().find(|place| matches!(place, Place::Net(_))) {
            let why = format!(
                "`{net}` is no name, and an address need not be looked up; write a name as in partner.example, or *"
            );
            return Err(refused("names", &why));
        }
        Ok(proxy.except(except).looking_up(names))
    }
}

/// The proxy of these settings, with its password.
pub(super) fn opened(proxy: Option<&Proxy>) -> Outcome<Option<Dialled>> {
    let Some(proxy) = proxy else {
        if let Some(name) = OF_OTHERS.into_iter().find(|name| std::env::var_os(name).is_some()) {
            tracing::info!(
                "{name} is set and not read: a proxy for this instance is named by `[proxy]` in its config.toml"
            );
        }
        return Ok(None);
    };
    let dialled = proxy.read()?;
    let Some(file) = &proxy.auth_file else { return Ok(Some(dialled)) };
    let unreadable = |error: &io::Error| Failure::input(file, error).set_by("`auth_file` of `[proxy]`");
    let text = private::text(file, "the proxy's password", unreadable)?;
    let credentials = Credentials::parse(text.expose()).map_err(|why| {
        Failure::new(Exit::Usage, format!("{}: {why}", file.display())).next("write one line NAME:PASSWORD into it")
    })?;
    Ok(Some(dialled.with(credentials)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn proxy(url: &str) -> Proxy {
        Proxy { url: url.to_owned(), ..Proxy::default() }
    }

    #[test]
    fn a_proxy_is_read_whole_and_what_is_wrong_with_it_is_said_by_its_key() {
        let good = Proxy {
            except: vec!["intern.example".into(), "10.0.0.0/8".into()],
            names: vec!["*".into()],
            ..proxy("http://proxy.example:3128")
        };
        good.checked().unwrap();
        let fails = |proxy: Proxy, key: &str, next: &str| {
            let failure = proxy.checked().unwrap_err();
            let told = failure.next.clone().unwrap();
            assert!(failure.cause.contains(&format!("`{key}` of `[proxy]`")) && told.contains(next), "{failure:?}");
            assert!(!failure.cause.contains("hunter2") && !told.contains("hunter2"));
        };
        let none = Proxy { except: vec!["*".into()], ..Proxy::default() }.checked().unwrap_err();
        assert!(
            none.cause.contains("`[proxy]` has no `url`") && none.next.unwrap().contains("http://proxy.example:3128")
        );
        fails(proxy("https://proxy.example:3128"), "url", "http://");
        fails(proxy("http://me:hunter2@proxy.example:3128"), "url", "auth_file");
        fails(Proxy { except: vec!["10.0.0.0/99".into()], ..good.clone() }, "except", "10.0.0.0/8");
        fails(Proxy { names: vec!["a b".into()], ..good.clone() }, "names", "intern.example");
        fails(Proxy { names: vec!["10.0.0.7".into()], ..good }, "names", "partner.example");
    }

    #[test]
    fn a_password_is_read_from_a_file_of_its_owner_alone_and_repeated_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy-password");
        let with = Proxy { auth_file: Some(file.clone()), ..proxy("http://proxy.example:3128") };
        let missing = opened(Some(&with)).unwrap_err();
        assert!(missing.cause.contains("proxy-password") && missing.cause.starts_with("`auth_file` of `[proxy]`: "));
        fs::write(&file, "dana:hunter2\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let open = opened(Some(&with)).unwrap_err();
        assert!(open.cause.contains("others may read") && open.next.unwrap().starts_with("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let shown = format!("{:?}", opened(Some(&with)).unwrap().unwrap());
        assert!(shown.contains("credentials: true") && !shown.contains("hunter2"), "{shown}");
        fs::write(&file, "hunter2").unwrap();
        let none = opened(Some(&with)).unwrap_err();
        assert!(none.cause.contains("no NAME:PASSWORD") && !none.cause.contains("hunter2"), "{none:?}");
        assert!(opened(None).unwrap().is_none());
    }
}
