//! The other end of the door: what the command line speaks. Paths and methods are said here and in [`crate::routes`] only.

use crate::{Kind, Problem, person, socket};
use bytes::{Buf, Bytes, BytesMut};
use domain::{id::Name, scope::Door};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{io, path::PathBuf, time::Duration};

/// How long an answer may take: the daemon itself gives up on one that has not begun after a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon listens there.
    #[error("no daemon listens on {}", .0.display())]
    NotRunning(PathBuf),
    /// The caller's account may not open the socket.
    #[error("your account may not open {}", .0.display())]
    NotAllowed(PathBuf),
    /// The daemon refused, or could not.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// It took the connection and says nothing.
    #[error("the daemon on {} did not answer within {} s: it is stopped, or this machine is overloaded", .0.display(), .1.as_secs())]
    Silent(PathBuf, Duration),
    /// The connection broke, or the daemon speaks another language.
    #[error("the daemon's answer broke off: {0}")]
    Broken(String),
}

/// Speaks to a daemon on this machine.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    acting_as: Option<Name>,
    workspace: Option<Name>,
    door: Option<Door>,
    patience: Duration,
}

impl Client {
    /// For the daemon that listens on `socket`, acting as another user or in a named workspace if given.
    pub fn new(socket: PathBuf, acting_as: Option<Name>, workspace: Option<Name>) -> Self {
        Self { socket, acting_as, workspace, door: None, patience: PATIENCE }
    }

    /// The same, for a program that is another door than the command line.
    #[must_use]
    pub fn through(self, door: Door) -> Self {
        Self { door: Some(door), ..self }
    }

    /// The same, that waits no longer than this for an answer.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks without a body.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, &()).await
    }

    /// Sends `body` and reads the answer.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.call(Method::POST, path, body).await
    }

    /// As [`Client::post`], putting `body` in the place of what is there.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.call(Method::PUT, path, body).await
    }

    /// Removes what is there.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path, &()).await
    }

    /// An answer that comes line by line. How long it goes on is its own affair once it has begun.
    pub async fn lines(&self, path: &str) -> Result<Lines, ClientError> {
        let response = self.in_time(self.send(Method::GET, path, &())).await?;
        Ok(Lines { body: response.into_body(), buffer: BytesMut::new() })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let whole = async {
            let response = self.send(method, path, body).await?;
            Ok(response.into_body().collect().await.map_err(broken)?.to_bytes())
        };
        serde_json::from_slice(&self.in_time(whole).await?).map_err(broken)
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let silent = |_| Err(ClientError::Silent(self.socket.clone(), self.patience));
        tokio::time::timeout(self.patience, answer).await.unwrap_or_else(silent)
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Response<Incoming>, ClientError> {
        let stream = socket::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let response = sender.send_request(self.request(method, path, body)?).await.map_err(broken)?;
        if response.status().is_success() { Ok(response) } else { Err(problem(response).await) }
    }

    fn request(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, ClientError> {
        let bodiless = matches!(method, Method::GET | Method::DELETE);
        let body = if bodiless { Vec::new() } else { serde_json::to_vec(body).map_err(broken)? };
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if !bodiless {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let named = [
            (person::AS, self.acting_as.as_ref().map(Name::as_str)),
            (person::WORKSPACE, self.workspace.as_ref().map(Name::as_str)),
            (person::DOOR, self.door.map(Door::word)),
        ];
        for (header, name) in named.into_iter().filter_map(|(header, name)| Some((header, name?))) {
            request = request.header(header, name);
        }
        request.body(Full::new(Bytes::from(body))).map_err(broken)
    }

    fn unreachable(&self, error: &io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed(self.socket.clone()),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning(self.socket.clone()),
            _ => broken(error),
        }
    }
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}

async fn problem(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let body = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return broken(error),
    };
    let foreign = || {
        Problem::new(Kind::Internal, format!("the daemon answered {status} without a reason"))
            .next("the command line and this daemon may be of different versions: update the older")
    };
    ClientError::Problem(serde_json::from_slice(&body).unwrap_or_else(|_| foreign()))
}

/// The lines of an answer.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    /// The next line without its end; none after the last one. A line that is cut off is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1);
                return Ok(Some(line));
            }
            match self.body.frame().await {
                Some(frame) => self.buffer.extend_from_slice(&frame.map_err(broken)?.into_data().unwrap_or_default()),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(broken("the last line is cut off")),
            }
        }
    }

    /// The next line as a value.
    pub async fn value<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        let line = self.next().await?;
        line.map(|line| serde_json::from_slice(&line).map_err(broken)).transpose()
    }
}
