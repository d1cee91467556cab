//! The HTTP port of an instance, as programs, web pages and strangers of its machine meet it: bytes over a socket, and what comes back.

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
