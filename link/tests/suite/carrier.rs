//! An HTTP proxy of the test's own: it notes what it was asked and what came after, and answers as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// What it does with a connection, once it has read a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Connects there, whatever it was asked for, and carries.
    Lead(SocketAddr),
    /// The same, but its answer leaves in one piece with the first bytes from there.
    LeadWithWord(SocketAddr),
    /// Says this, and waits until the other end closes.
    Say(Vec<u8>),
    /// Says this and closes its half.
    SayAndClose(Vec<u8>),
    /// Says this, over and over, without end.
    SayForEver(Vec<u8>),
}

/// One connection, as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The request.
    pub head: String,
    /// What came after the request, unless it was carried on.
    pub rest: Vec<u8>,
    /// Whether whoever asked has closed it.
    pub closed: bool,
}

#[derive(Clone)]
pub struct Carrier {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Carrier {
    /// Gives these answers one after the other, the last one for ever.
    pub async fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let carrier = Self { address, asked: Arc::default(), answers: Arc::new(Mutex::new(answers)) };
        let serving = carrier.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        carrier
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of all requests.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.head.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// From the next connection on.
    pub fn answers(&self, answer: Answer) {
        *self.answers.lock().unwrap() = vec![answer];
    }

    async fn serve(self, mut socket: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = socket.read_u8().await else { return };
            head.push(byte);
        }
        let (at, answer) = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(Asked { head: String::from_utf8(head).unwrap(), ..Asked::default() });
            let mut answers = self.answers.lock().unwrap();
            (asked.len() - 1, if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
        };
        match answer {
            Answer::Lead(to) => {
                let mut there = TcpStream::connect(to).await.unwrap();
                socket.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await.unwrap();
                drop(copy_bidirectional(&mut socket, &mut there).await);
                self.note(at, |asked| asked.closed = true);
            }
            Answer::LeadWithWord(to) => {
                let mut there = TcpStream::connect(to).await.unwrap();
                let mut said = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
                there.read_buf(&mut said).await.unwrap();
                socket.write_all(&said).await.unwrap();
                drop(copy_bidirectional(&mut socket, &mut there).await);
            }
            Answer::Say(words) => {
                drop(socket.write_all(&words).await);
                self.rest(at, socket).await;
            }
            Answer::SayAndClose(words) => {
                drop(socket.write_all(&words).await);
                drop(socket.shutdown().await);
                self.rest(at, socket).await;
            }
            Answer::SayForEver(words) => {
                while socket.write_all(&words).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                self.rest(at, socket).await;
            }
        }
    }

    /// Notes what comes until the other end closes. An end by reset is one, too.
    async fn rest(&self, at: usize, mut socket: TcpStream) {
        let mut rest = Vec::new();
        let closed = timeout(Duration::from_secs(30), socket.read_to_end(&mut rest)).await.is_ok();
        self.note(at, |asked| (asked.rest, asked.closed) = (rest, closed));
    }

    fn note(&self, at: usize, change: impl FnOnce(&mut Asked)) {
        change(&mut self.asked.lock().unwrap()[at]);
    }
}
