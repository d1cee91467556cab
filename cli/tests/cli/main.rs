//! The program as people run it: built, started as processes, typed at. One file per theme; every test is a sentence.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod dead;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod dial;
#[cfg(test)]
mod door;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod export;
#[cfg(test)]
mod full;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod import;
#[cfg(test)]
mod import_calendar;
#[cfg(test)]
mod import_links;
#[cfg(test)]
mod import_tasks;
#[cfg(test)]
mod import_vault;
#[cfg(test)]
mod instance;
#[cfg(test)]
mod invitees;
#[cfg(test)]
mod invites;
#[cfg(test)]
mod kept_back;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod log;
#[cfg(test)]
mod mcp;
#[cfg(test)]
#[path = "../../../tests/src/modules.rs"]
mod modules;
#[cfg(test)]
mod network;
#[cfg(test)]
mod people;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod port;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod step_ca;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod truth;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod words;
