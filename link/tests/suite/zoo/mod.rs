//! The certificate zoo (row W8 of the threat list): hundreds of chains, each bred from a good one by a rule, each shown in a
//! real handshake to the real listener. The rules are the table: a name, what is changed, and the class it must end under.

mod chains;
pub mod der;
mod extensions;
mod keeper;
pub mod leaf;
mod names;
mod purposes;
mod shapes;

use super::{
    caller::PREFACE,
    sharing::{DAY, ISSUER, NOW, Opened, Sharing},
};
use domain::id::Serial;
use keeper::{Animal, Keeper};
use link::{Class, tls};
use pki::{Deny, Flaw, InstanceOrder, key, provider};
use rustls::{
    ClientConfig, Error, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The fewest chains that are a zoo.
const FEWEST: usize = 250;
/// How many the chain check alone lets in at least.
const STRAYS: usize = 60;

fn zoo(sharing: &Sharing) -> Vec<Animal> {
    let order = InstanceOrder { names: vec![], now: NOW.before(DAY), life: 90 * DAY };
    let instance = sharing.authority.issue_instance(&order).unwrap();
    let keeper = Keeper::new(&sharing.authority, instance.certificate);
    let denied = leaf::Key::p256();
    sharing.deny.swap(Deny {
        serials: [Serial::new(&chains::DENIED_SERIAL).unwrap()].into(),
        keys: [key::fingerprint(&denied.spki)].into(),
        ..Deny::default()
    });
    let mut animals = chains::animals(&keeper, &denied);
    animals.extend(purposes::animals(&keeper));
    animals.extend(names::animals(&keeper));
    animals.extend(extensions::animals(&keeper));
    animals.extend(shapes::animals(&keeper));
    animals
}

/// A caller that shows any chain beside any key.
fn shows(sharing: &Sharing, animal: &Animal) -> Arc<ClientConfig> {
    let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(animal.key.clone()).into();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let chain = animal.chain.iter().cloned().map(CertificateDer::from).collect();
    let mut config = sharing.config(None);
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
    Arc::new(config)
}

/// What TLS said of it, where it is TLS that ended it.
fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

async fn judge(sharing: &Sharing, opened: &mut Opened, animal: &Animal) -> Option<String> {
    let knocked = sharing.connect(opened, &shows(sharing, animal)).await;
    let fate = match &knocked {
        Ok(_) => None,
        Err(_) => Some(opened.incident().await.class),
    };
    let alerted = knocked.as_ref().err().is_none_or(|error| matches!(tls_error(error), Some(Error::AlertReceived(_))));
    let word = |fate: Option<Class>| fate.map_or("let in", Class::word);
    let told = knocked.err().map_or(String::new(), |error| error.to_string());
    (fate != animal.fate || !alerted)
        .then(|| format!("{}: {} and not {} ({told})", animal.name, word(fate), word(animal.fate)))
}

#[tokio::test]
async fn of_all_the_chains_of_the_zoo_only_the_good_ones_get_in_and_the_others_hear_an_alert() {
    let sharing = Sharing::new(Sharing::patient());
    let mut opened = sharing.federation().await;
    let zoo = zoo(&sharing);
    let names: HashSet<_> = zoo.iter().map(|animal| &animal.name).collect();
    assert_eq!(names.len(), zoo.len(), "a name stands for one chain");
    assert!(zoo.len() >= FEWEST, "{} chains", zoo.len());
    let (mut wrong, mut classes) = (Vec::new(), BTreeMap::new());
    for animal in &zoo {
        *classes.entry(animal.fate.map_or("let in", Class::word)).or_insert(0_usize) += 1;
        wrong.extend(judge(&sharing, &mut opened, animal).await);
    }
    // The chain check finds an unknown critical extension first and has no better word for it.
    let missing = Flaw::ALL.into_iter().filter(|flaw| !classes.contains_key(flaw.word()));
    assert_eq!(missing.collect::<Vec<_>>(), [Flaw::UnknownCritical], "{classes:?}");
    assert_eq!(wrong, Vec::<String>::new(), "{} of {}", wrong.len(), zoo.len());
    assert_eq!(sharing.calls.begun.load(Ordering::SeqCst), 0, "no handler was reached");
}

/// The same listener configuration around a verifier that looks at the chain alone, as a library makes it.
async fn without_the_profile(sharing: &Sharing) -> std::net::SocketAddr {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(sharing.authority.root_der().to_vec())).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let verifier: Arc<dyn ClientCertVerifier> = verifier;
    let config = tls::server(Arc::clone(&sharing.identity), Some(verifier), Arc::clone(&sharing.clock) as _).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                drop(stream.write_all(b"come in").await);
                drop(stream.flush().await);
            }
        }
    });
    address
}

#[tokio::test]
async fn without_the_leaf_profile_a_crowd_of_them_gets_in_so_that_the_zoo_bites() {
    let sharing = Sharing::new(Sharing::patient());
    let zoo = zoo(&sharing);
    let address = without_the_profile(&sharing).await;
    let mut strays = Vec::new();
    for animal in zoo.iter().filter(|animal| animal.fate.is_some()) {
        let name = ServerName::try_from(pki::spiffe::tls_name(ISSUER)).unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        let connected = TlsConnector::from(shows(&sharing, animal)).connect(name, socket).await;
        let Ok(mut stream) = connected else { continue };
        drop(stream.write_all(PREFACE).await);
        if stream.read_u8().await.is_ok() {
            strays.push(animal.name.as_str());
        }
    }
    assert!(strays.len() >= STRAYS, "{} got in: {strays:?}", strays.len());
}
