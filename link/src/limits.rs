//! Every limit of a listener and of its connections, each set explicitly: the defaults of the libraries below are "none".

use std::time::Duration;
use tonic::transport::Server;

/// What one listener allows. `Default` is what the daemon runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted socket to the end of the TLS handshake.
    pub handshake: Duration,
    /// Connections that have not proved who they are, in all; one more, and the eldest of the address with the most gives way.
    pub unproven: usize,
    /// The same from one address (IPv4) or one /64 (IPv6).
    pub unproven_per_address: usize,
    /// New connections per second from one address.
    pub address_rate: u32,
    /// New connections at once from one address.
    pub address_burst: u32,
    /// Connections of one grant at once.
    pub connections_per_grant: usize,
    /// The longest life of a connection; it is asked to end `connection_grace` before and cut then.
    pub connection_age: Duration,
    /// From the request to end (GOAWAY) to the cut.
    pub connection_grace: Duration,
    /// The longest life of a connection without a client certificate.
    pub enrolment_age: Duration,
    /// Open streams per connection (`SETTINGS_MAX_CONCURRENT_STREAMS`).
    pub streams: u32,
    /// Calls in work per connection; the others wait.
    pub in_flight: usize,
    /// Bytes of one message, either way.
    pub message: usize,
    /// Bytes of one header list (`SETTINGS_MAX_HEADER_LIST_SIZE`).
    pub headers: u32,
    /// Bytes of one frame that is accepted (`SETTINGS_MAX_FRAME_SIZE`).
    pub frame: u32,
    /// Flow control window of a stream, bytes; the protocol's own 64 KiB hold a chunk of an answer back on long ways.
    pub stream_window: u32,
    /// Flow control window of a connection, bytes.
    pub connection_window: u32,
    /// Silence after which a connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may stay unanswered; with the interval, a dead connection is gone within 60 s.
    pub keepalive_timeout: Duration,
    /// Streams reset by the other side before they were looked at; more end the connection (rapid reset).
    pub pending_resets: usize,
    /// Streams reset by this side for the other's errors; more end the connection.
    pub error_resets: usize,
    /// Rest of the accept loop when the machine has no more descriptors or memory.
    pub pause: Duration,
    /// How long a refused connection may take to read its alert before it is closed.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            unproven: 512,
            unproven_per_address: 16,
            address_rate: 20,
            address_burst: 40,
            connections_per_grant: 64,
            connection_age: Duration::from_hours(1),
            connection_grace: Duration::from_mins(5),
            enrolment_age: Duration::from_mins(1),
            streams: 100,
            in_flight: 64,
            message: 4 * 1024 * 1024,
            headers: 16 * 1024,
            frame: 16 * 1024,
            stream_window: 1024 * 1024,
            connection_window: 4 * 1024 * 1024,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            pending_resets: 20,
            error_resets: 1024,
            pause: Duration::from_millis(100),
            drain: Duration::from_millis(500),
        }
    }
}

impl Limits {
    /// Sets everything that HTTP/2 knows of these limits. `message` is set per service by whoever builds it.
    ///
    /// tonic's own grace period is left out: with one set it skips the GOAWAY and only drops the connection at its end. The
    /// connection cuts itself instead, see [`crate::Accepted`].
    #[must_use]
    pub fn apply<L: Clone>(&self, server: Server<L>) -> Server<L> {
        server
            .accept_http1(false)
            .max_concurrent_streams(self.streams)
            .concurrency_limit_per_connection(self.in_flight)
            .http2_max_header_list_size(self.headers)
            .max_frame_size(self.frame)
            .initial_stream_window_size(self.stream_window)
            .initial_connection_window_size(self.connection_window)
            .http2_adaptive_window(Some(false))
            .http2_keepalive_interval(Some(self.keepalive_interval))
            .http2_keepalive_timeout(Some(self.keepalive_timeout))
            .http2_max_pending_accept_reset_streams(Some(self.pending_resets))
            .http2_max_local_error_reset_streams(Some(self.error_resets))
            .max_connection_age(self.connection_age.saturating_sub(self.connection_grace))
    }
}
