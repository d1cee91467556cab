//! An asking side that speaks HTTP/2 by hand: frames, header blocks and gRPC messages as bytes, to say what no library would.

use crate::{asker::Asker, direction};
use domain::world::World;
use link::tls;
use pki::ServerVerifier;
use rustls::pki_types::ServerName;
use std::{io, net::Ipv4Addr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What every connection begins with (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames (RFC 9113 6).
pub mod kind {
    #![expect(missing_docs, reason = "each is named as the RFC names it")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
}

/// The flags of frames.
pub mod flag {
    /// `END_STREAM` of DATA and HEADERS, ACK of SETTINGS and PING.
    pub const END_OR_ACK: u8 = 1;
    /// `END_HEADERS` of HEADERS.
    pub const END_HEADERS: u8 = 4;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// HEADERS of a gRPC call.
    pub fn call(stream: u32, path: &str, more: &[(&str, &str)]) -> Self {
        Self::call_of(stream, path, "x", more)
    }

    /// The same to an authority of the caller's own choosing.
    pub fn call_of(stream: u32, path: &str, authority: &str, more: &[(&str, &str)]) -> Self {
        let fixed =
            [(":method", "POST"), (":scheme", "https"), (":path", path), (":authority", authority), ("te", "trailers")];
        let named = [("content-type", "application/grpc")];
        let fields = fixed.iter().chain(&named).chain(more);
        let block: Vec<u8> = fields.flat_map(|(name, value)| literal(name, value)).collect();
        Self::new(kind::HEADERS, flag::END_HEADERS, stream, block)
    }

    /// The whole of a call's question, ended.
    pub fn question(stream: u32, message: &[u8]) -> Self {
        Self::new(kind::DATA, flag::END_OR_ACK, stream, prefixed(0, message))
    }

    /// SETTINGS of these identifiers and values.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let bytes = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        Self::new(kind::SETTINGS, 0, 0, bytes.collect::<Vec<_>>())
    }

    /// `WINDOW_UPDATE`.
    pub fn window(stream: u32, more: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, more.to_be_bytes())
    }

    /// As it stands on the wire. The length is the payload's.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a short payload").to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }
}

/// A header field as a literal without indexing and without Huffman (RFC 7541 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| {
        let length = text.len();
        let mut bytes = match u8::try_from(length) {
            Ok(short) if short < 127 => vec![short],
            _ => integer(length),
        };
        bytes.extend(text.bytes());
        bytes
    };
    [vec![0], string(name), string(value)].concat()
}

/// A length of 127 and more with a prefix of seven bits (RFC 7541 5.1).
fn integer(length: usize) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![127], length - 127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("seven bits") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
    bytes
}

/// A gRPC message: compressed flag, length, bytes.
pub fn prefixed(compressed: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[compressed], &length[..], message].concat()
}

/// A connection of a grant's holder.
pub struct Raw {
    /// The TLS stream, for bytes that are no frame.
    pub stream: TlsStream<TcpStream>,
}

impl Raw {
    /// Shakes hands from 127.0.0.1 and says nothing yet.
    pub async fn silent(asker: &Asker) -> io::Result<Self> {
        Self::silent_from(asker, Ipv4Addr::LOCALHOST).await
    }

    /// As [`Raw::silent`] from another of the loopback's addresses.
    pub async fn silent_from(asker: &Asker, from: Ipv4Addr) -> io::Result<Self> {
        let target = &asker.target;
        let clock = World::system().clock();
        let verifier = ServerVerifier::new(&target.root, target.instance, Arc::clone(&clock)).expect("a root");
        let credential = target.credential.as_ref().map(|own| (own.certificate.as_slice(), &own.key));
        let config = tls::client(Arc::new(verifier), credential, clock).expect("a key");
        let name = ServerName::try_from(target.tls_name.clone()).expect("a name");
        let socket = if from == Ipv4Addr::LOCALHOST {
            direction::socket(&target.addresses[0]).await?
        } else {
            connect(&target.addresses[0], from).await?
        };
        Ok(Self { stream: TlsConnector::from(Arc::new(config)).connect(name, socket).await? })
    }

    /// Shakes hands and sends the preface with these settings.
    pub async fn open(asker: &Asker, settings: &[(u16, u32)]) -> io::Result<Self> {
        let mut raw = Self::silent(asker).await?;
        raw.stream.write_all(&[PREFACE, &Frame::settings(settings).bytes()].concat()).await?;
        raw.stream.flush().await?;
        Ok(raw)
    }

    /// Sends frames in one piece.
    pub async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// The next frame.
    pub async fn frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Every frame until the other side ends the connection.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }
}

/// A TCP connection to `address` (`ip:port`) from one of the loopback's addresses.
pub async fn connect(address: &str, from: Ipv4Addr) -> io::Result<TcpStream> {
    let address = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
