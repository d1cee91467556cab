//! The one crypto provider. Everything that speaks TLS is handed this one by value; the process default is set as well, for
//! libraries that ask for it.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::{Arc, LazyLock};

/// aws-lc-rs with three key exchange groups, in this order.
///
/// The list is written out because the library's own changes between versions and features. X25519MLKEM768 comes first: what
/// is recorded on the wire must not be readable by a later quantum computer. X25519 and secp256r1 follow for clients in other
/// languages that cannot do the hybrid; nothing weaker is offered.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
        let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1];
        Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
    });
    Arc::clone(&PROVIDER)
}

/// Makes [`provider()`] the process default. First thing in `main`; calling it again changes nothing.
pub fn install_provider() {
    // An error means that a default is already set; our own configurations name the provider and do not depend on it.
    drop(CryptoProvider::clone(&provider()).install_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn the_hybrid_group_is_offered_first_and_nothing_else_slips_in() {
        install_provider();
        install_provider();
        let expected = [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1];
        for provider in [&provider(), CryptoProvider::get_default().unwrap()] {
            let offered: Vec<_> = provider.kx_groups.iter().map(|group| group.name()).collect();
            assert_eq!(offered, expected);
        }
    }
}
