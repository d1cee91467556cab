//! What is said over a called socket before TLS. The asking side begins with 32 bytes of its own making, the challenge. The one who called
//! answers once:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version: 1 |
//! | 1 | kind: 1 brings an invite, 2 is a further connection of a grant |
//! | 16 | the id: of the await, or of the grant |
//! | 32 | the proof: HMAC-SHA256 over challenge and the 18 bytes before it, under the key of this kind and id |
//!
//! Kind 1 goes on with the length of the sealed invite (2 bytes, big-endian) and that invite: nonce (12), ciphertext, tag (16). Nothing may
//! follow before the asking side's first byte of TLS. Whatever is wrong, the socket is closed without a word.

use domain::{
    id::{AwaitId, GrantId},
    secret::Secret,
};
use pki::{
    CallKey, CallSecret, Challenge,
    call::{CHALLENGE, OVERHEAD, PROOF},
};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

const VERSION: u8 = 1;
const ENROLMENT: u8 = 1;
const GRANT: u8 = 2;
/// Version, kind and id: what is proved, besides the challenge.
const SAID: usize = 18;
const HEAD: usize = SAID + PROOF;
/// Bytes of a sealed invite; far above any real one (about 1 kB).
pub const MAX_SEALED: usize = 16 * 1024;

/// What the one who calls says.
#[derive(Clone)]
pub enum Saying {
    /// An invite, for an asking side that waits.
    Invite {
        /// Which await.
        id: AwaitId,
        /// Its secret.
        secret: CallSecret,
        /// The invite.
        invite: Secret<String>,
    },
    /// A further connection of a grant.
    Grant {
        /// Which grant.
        grant: GrantId,
        /// What proves its calls.
        key: CallKey,
    },
}

/// Who says that they call. Nothing of it is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Await(AwaitId),
    Grant(GrantId),
}

/// The first part of a preamble, as it came.
pub(super) struct Head {
    pub(super) claim: Claim,
    bytes: [u8; HEAD],
}

impl Head {
    /// None where the bytes have no such form.
    pub(super) fn read(bytes: [u8; HEAD]) -> Option<Self> {
        let [VERSION, kind, rest @ ..] = &bytes else { return None };
        let id = Uuid::from_bytes(*rest.first_chunk()?);
        let claim = match *kind {
            ENROLMENT => Claim::Await(AwaitId(id)),
            GRANT => Claim::Grant(GrantId(id)),
            _ => return None,
        };
        Some(Self { claim, bytes })
    }

    /// Whether this key made the proof in it, for this challenge.
    pub(super) fn is_proved(&self, key: &CallKey, challenge: &Challenge) -> bool {
        let (said, proof) = self.bytes.split_at(SAID);
        proof.first_chunk().is_some_and(|proof| key.is_proved(challenge, said, proof))
    }

    /// Opens the invite that followed it.
    pub(super) fn open(&self, secret: &CallSecret, challenge: &Challenge, sealed: &[u8]) -> Option<Secret<String>> {
        secret.open(challenge, &self.bytes, sealed).ok()
    }
}

/// Reads the first part.
pub(super) async fn read_head(socket: &mut TcpStream) -> io::Result<[u8; HEAD]> {
    let mut head = [0; HEAD];
    socket.read_exact(&mut head).await?;
    Ok(head)
}

/// Reads the sealed invite; none where it says an impossible length.
pub(super) async fn read_sealed(socket: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = usize::from(socket.read_u16().await?);
    if !(OVERHEAD + 1..=MAX_SEALED).contains(&length) {
        return Ok(None);
    }
    let mut sealed = vec![0; length];
    socket.read_exact(&mut sealed).await?;
    Ok(Some(sealed))
}

/// Waits for the challenge and answers it.
pub(super) async fn answer(socket: &mut TcpStream, saying: &Saying) -> io::Result<()> {
    let mut challenge = [0; CHALLENGE];
    socket.read_exact(&mut challenge).await?;
    let words = saying.words(&challenge).ok_or_else(|| io::Error::other("the words of this call cannot be made"))?;
    socket.write_all(&words).await?;
    socket.flush().await
}

impl Saying {
    /// The whole preamble for this challenge; none where the cipher fails or the invite is too long.
    pub fn words(&self, challenge: &Challenge) -> Option<Vec<u8>> {
        let (kind, id) = match self {
            Self::Invite { id, .. } => (ENROLMENT, id.0),
            Self::Grant { grant, .. } => (GRANT, grant.0),
        };
        let mut words = vec![VERSION, kind];
        words.extend(id.as_bytes());
        match self {
            Self::Grant { key, .. } => words.extend(key.prove(challenge, &words)),
            Self::Invite { secret, invite, .. } => {
                words.extend(secret.enrolment().ok()?.prove(challenge, &words));
                let sealed = secret.seal(challenge, &words, invite.expose()).ok()?;
                let length = u16::try_from(sealed.len()).ok().filter(|length| usize::from(*length) <= MAX_SEALED)?;
                words.extend(length.to_be_bytes());
                words.extend(sealed);
            }
        }
        Some(words)
    }
}
