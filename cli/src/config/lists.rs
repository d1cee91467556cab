//! The part of the settings about lists of revoked certificates.

use super::Config;
use crate::exit::{Exit, Failure, Outcome};
use serde::{Deserialize, Deserializer, de::Error as _};
use spoke::lists::{ListsOrder, Source};
use std::{net::SocketAddr, path::PathBuf};

pub(super) fn read_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    super::address(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

pub(super) fn checked(config: &Config) -> Outcome<()> {
    if let Some(Err(error)) = config.crl_source.as_ref().map(|text| text.parse::<Source>()) {
        let told = error.to_string();
        let (why, next) = told.split_once("; ").unwrap_or((&told, "write it as in http://ca.example/crl.der"));
        return Err(Failure::new(Exit::Usage, format!("`crl_source`: {why}")).next(next));
    }
    let taken = |listen: &SocketAddr| {
        listen.port() != 0 && [config.listen, config.listen_enrolment, config.listen_calls].contains(listen)
    };
    match config.crl_listen.filter(taken) {
        Some(listen) => {
            let cause = format!("`crl_listen` is {listen}, where links are served or invites taken");
            Err(Failure::new(Exit::Usage, cause).next("give it a port of its own"))
        }
        None => Ok(()),
    }
}

/// Which lists to give and to take; the last good one of others is kept in the file `kept`.
pub fn order(config: &Config, kept: PathBuf) -> ListsOrder {
    let source = config.crl_source.as_ref().and_then(|text| text.parse().ok());
    ListsOrder { listen: config.crl_listen, source: source.map(|source| (source, kept)) }
}
