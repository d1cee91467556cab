//! Who is told: a collector that takes spans and forgets them, and somebody who reads numbers each second.

use anyhow::Result;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::interval,
};

/// Takes spans.
pub struct Collector {
    /// Where.
    pub at: SocketAddr,
    counted: Counted,
}

impl Collector {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let counted = Counted::begin(async move |count| {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(u64::from(taken(stream).await.is_ok()), Ordering::Relaxed);
            }
        });
        Ok(Self { at, counted })
    }

    /// Batches that it took.
    pub fn batches(&self) -> u64 {
        self.counted.count.load(Ordering::Relaxed)
    }
}

/// Reads numbers.
pub struct Scraper {
    counted: Counted,
}

impl Scraper {
    pub fn start(at: SocketAddr) -> Self {
        let counted = Counted::begin(async move |count| {
            let mut every = interval(Duration::from_secs(1));
            loop {
                every.tick().await;
                let is_whole = scraped(at).await.is_ok_and(|page| page.ends_with("# EOF\n"));
                count.fetch_add(u64::from(is_whole), Ordering::Relaxed);
            }
        });
        Self { counted }
    }

    /// Pages that it read.
    pub fn pages(&self) -> u64 {
        self.counted.count.load(Ordering::Relaxed)
    }
}

/// Something that goes on, and how often it went well.
struct Counted {
    count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Counted {
    fn begin<F: Future<Output = ()> + Send + 'static>(work: impl FnOnce(Arc<AtomicU64>) -> F) -> Self {
        let count = Arc::<AtomicU64>::default();
        Self { task: tokio::spawn(work(Arc::clone(&count))), count }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request to its end and says that it was taken.
async fn taken(stream: TcpStream) -> Result<()> {
    let (mut stream, mut length) = (BufReader::new(stream), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().to_lowercase() {
            end if end.is_empty() => break,
            header => length = header.strip_prefix("content-length: ").map_or(Ok(length), str::parse)?,
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    let said = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(said).await?;
    Ok(stream.flush().await?)
}

async fn scraped(at: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nhost: {at}\r\n\r\n").as_bytes()).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}
