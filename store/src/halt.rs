//! Places at which a test stops the program for good, to kill it exactly there. What survives such a kill is what is stored.
//!
//! Only builds for testing stop anywhere: in a release this is nothing.

/// Waits for ever if `MOSAIC_TEST_HALT` names this place, after saying so.
pub async fn at(place: &str) {
    if cfg!(debug_assertions) && std::env::var_os("MOSAIC_TEST_HALT").is_some_and(|named| named == place) {
        tracing::error!(place, "halted");
        std::future::pending::<()>().await;
    }
}
