//! HTTP/2 by hand: frames as bytes, floods of them, and what the other side says to it.

use super::{
    caller::PREFACE,
    sharing::{Opened, Sharing},
};
use link::ClientCredential;
use rustls::pki_types::ServerName;
use std::{env, fs::read_to_string, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Type, stream and payload of the next frame (RFC 9113 4.1).
pub async fn next(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [a, b, c, kind, _, id @ ..] = head;
    let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
    stream.read_exact(&mut payload).await?;
    Ok((kind, u32::from_be_bytes(id), payload))
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of `GET https` and a path, all from the static table or literal (RFC 7541 6).
pub fn block(path: &str) -> Vec<u8> {
    [&[0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat()
}

/// HEADERS of a call.
pub fn call(stream: u32, path: &str, ended: bool) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | if ended { END_STREAM } else { 0 }, stream, &block(path))
}

pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The asking side's `n`th stream, from 0.
pub fn stream(n: usize) -> u32 {
    2 * u32::try_from(n).unwrap() + 1
}

impl Sharing {
    /// A connection of the credential's holder that has sent the preface, read or not.
    pub async fn raw(&self, opened: &Opened, credential: &ClientCredential) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(opened.address).await.unwrap();
        let name = ServerName::try_from(pki::spiffe::tls_name(self.authority.instance())).unwrap();
        let config = Arc::new(self.config(Some(credential)));
        let mut stream = TlsConnector::from(config).connect(name, socket).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream
    }

    /// As [`Sharing::raw`], with somebody who hears what is said.
    pub async fn wire(&self, opened: &Opened, credential: &ClientCredential) -> Wire {
        let (reading, writing) = split(self.raw(opened, credential).await);
        Wire { writing, hearing: tokio::spawn(hear(reading)), sent: 0 }
    }
}

/// What the other side said until it hung up.
#[derive(Debug, Default)]
pub struct Heard {
    /// Streams that it reset.
    pub resets: usize,
    /// The error code of its GOAWAY (RFC 9113 7).
    pub goaway: Option<u32>,
    /// Whether it answered our last PING: then it did not hang up.
    pub lives: bool,
}

pub const ENHANCE_YOUR_CALM: u32 = 11;
const LAST: [u8; 8] = *b"the last";

async fn hear(mut reading: ReadHalf<TlsStream<TcpStream>>) -> Heard {
    let mut heard = Heard::default();
    while let Ok((kind, _, payload)) = next(&mut reading).await {
        match kind {
            RST_STREAM => heard.resets += 1,
            GOAWAY => heard.goaway = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap())),
            PING if payload == LAST => {
                heard.lives = true;
                break;
            }
            _ => {}
        }
    }
    heard
}

/// A connection that is written to and heard at once.
pub struct Wire {
    writing: WriteHalf<TlsStream<TcpStream>>,
    hearing: JoinHandle<Heard>,
    /// Pieces that found room.
    pub sent: usize,
}

impl Wire {
    /// Sends in one piece. False once the other side has hung up.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let written = async {
            self.writing.write_all(bytes).await?;
            self.writing.flush().await
        };
        let sent = !self.hearing.is_finished() && written.await.is_ok();
        self.sent += usize::from(sent);
        sent
    }

    /// Sends piece after piece until there is none or nobody to take them.
    pub async fn flood(&mut self, pieces: impl IntoIterator<Item = Vec<u8>>) {
        for piece in pieces {
            if !self.send(&piece).await {
                return;
            }
        }
    }

    /// What was said to it all. The other side answers one more PING or hangs up, soon.
    pub async fn end(mut self) -> Heard {
        // Whether it found room is for the answer to say.
        self.send(&frame(PING, 0, 0, &LAST)).await;
        timeout(Duration::from_secs(20), self.hearing).await.expect("an answer or an end").unwrap()
    }
}

/// The small setting's number, or the large one's with `MOSAIC_TEST_SCALE=large`.
pub fn scale(small: usize, large: usize) -> usize {
    if env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { large } else { small }
}

/// Bytes of memory this process holds (proc(5): `VmRSS` of status).
pub fn memory() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// From `before` to `now` in whole mebibytes: at most 64 in any of these attacks.
pub fn grown(before: u64, now: u64) -> u64 {
    let grown = now.saturating_sub(before) >> 20;
    assert!(grown <= 64, "the memory grew by {grown} MiB");
    grown
}
