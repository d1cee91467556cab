//! The asking side against real sharing sides: each test runs TLS servers of its own on loopback, honest or not, and a whole
//! `Hub` over the store model. Map: `side` is the other instance, `home` this one; the rest are tests, by subject.

#[cfg(test)]
mod busy;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod circuit;
#[cfg(test)]
mod control;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod get;
#[cfg(test)]
mod hedged;
#[cfg(test)]
mod home;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod links;
#[cfg(test)]
mod moved;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod page;
#[cfg(test)]
mod ping;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod records;
#[cfg(test)]
mod service;
#[cfg(test)]
mod side;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod told;
