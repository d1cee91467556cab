//! The HTTP port of an instance, as programs, web pages and strangers of its machine meet it: bytes over a socket, and what comes back.
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

#[cfg(test)]
mod addressed;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod stage;
