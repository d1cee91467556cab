//! The asking side's listener for calls. Whoever proves that they may call leaves it with their socket; everybody else is closed without
//! a word and reported, and costs no more than any stranger at any listener does.

use super::{
    keep_alive,
    preamble::{self, Claim, Head},
};
use crate::{
    Class, Options,
    accept::{Arrivals, Greet, admit},
    crowd::Place,
    handshake::Failure,
};
use domain::{
    id::{AwaitId, GrantId, UserId},
    secret::Secret,
    world::World,
};
use pki::{CallKey, CallSecret, Challenge};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// Whose calls are taken, at this moment.
pub trait Callees: Send + Sync + 'static {
    /// The secret of an await that may still be used.
    fn waiting(&self, id: AwaitId) -> Option<CallSecret>;
    /// What proves calls of a grant, for each user here who has a link of it.
    fn linked(&self, grant: GrantId) -> Vec<(UserId, CallKey)>;
}

/// Who called, proved.
pub enum Who {
    /// The sharing side that was handed this await, with its invite.
    Invite(AwaitId, Secret<String>),
    /// The other end of this user's link.
    Link(UserId, GrantId),
}

/// A call that was proved. Nothing has been said over its socket since.
pub struct Answered {
    /// Who it is.
    pub who: Who,
    /// The socket.
    pub socket: TcpStream,
    /// Where it comes from.
    pub address: SocketAddr,
}

/// Listens for calls, in a task of its own, until `options.shutdown`. A call has `options.limits.handshake` to prove itself.
pub fn listen(
    listener: TcpListener,
    callees: Arc<dyn Callees>,
    world: World,
    options: Options,
) -> mpsc::Receiver<Answered> {
    // Whoever names an id that nobody has is compared all the same: how long it takes tells nothing.
    let nobody = CallKey::from_bytes(world.bytes());
    admit(Arrivals::Listener(listener), Ear { callees, world, nobody }, options)
}

struct Ear {
    callees: Arc<dyn Callees>,
    world: World,
    nobody: CallKey,
}

impl Greet for Ear {
    type Out = Answered;

    async fn greet(
        &self,
        mut socket: TcpStream,
        address: SocketAddr,
        place: Place,
        options: &Options,
    ) -> Result<Answered, Failure> {
        keep_alive(&socket);
        let heard = timeout(options.limits.handshake, self.hear(&mut socket)).await;
        let who = heard.unwrap_or(Err(Class::HandshakeTimeout))?;
        // What was proved is a stranger no longer.
        drop(place);
        Ok(Answered { who, socket, address })
    }
}

impl Ear {
    async fn hear(&self, socket: &mut TcpStream) -> Result<Who, Class> {
        let challenge: Challenge = self.world.bytes();
        socket.write_all(&challenge).await.map_err(lost)?;
        let head = preamble::read_head(socket).await.map_err(lost)?;
        let head = Head::read(head).ok_or(Class::Call)?;
        let who = match head.claim {
            Claim::Grant(grant) => {
                let linked = self.callees.linked(grant);
                let owner = linked.iter().find(|(_, key)| head.is_proved(key, &challenge)).map(|(owner, _)| *owner);
                Who::Link(owner.ok_or_else(|| self.stranger(&head, &challenge))?, grant)
            }
            Claim::Await(id) => {
                let secret = self.callees.waiting(id).ok_or_else(|| self.stranger(&head, &challenge))?;
                let key = secret.enrolment().map_err(|_| Class::Call)?;
                if !head.is_proved(&key, &challenge) {
                    return Err(Class::Call);
                }
                let sealed = preamble::read_sealed(socket).await.map_err(lost)?.ok_or(Class::Call)?;
                Who::Invite(id, head.open(&secret, &challenge, &sealed).ok_or(Class::Call)?)
            }
        };
        if is_silent(socket)? { Ok(who) } else { Err(Class::CallTooLong) }
    }

    fn stranger(&self, head: &Head, challenge: &Challenge) -> Class {
        let _ = head.is_proved(&self.nobody, challenge);
        Class::Call
    }
}

/// Whether nothing waits to be read; an error where the other side has gone.
pub(super) fn is_silent(socket: &TcpStream) -> Result<bool, Class> {
    match socket.try_read(&mut [0]) {
        Ok(0) => Err(Class::Closed),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(_) => Err(Class::Closed),
    }
}

fn lost(_: io::Error) -> Class {
    Class::Closed
}
