//! Links. Run with `app.subject` set to the user whose links are meant; the directory needs no setting.

statements! {
    LINKS = "SELECT id, name, owner, peer, peer_name, addresses, tls_name, root, certificate, certificate_not_after, sealed_key,
            offer_grant_name, offer_workspace, offer_resources, offer_subject, offer_not_after, words, added_at, next_certificate,
            next_not_after, next_sealed_key, made_of, made_key, made_words, ended_at, last_answer
        FROM links WHERE owner = $1 ORDER BY name";
    COUNT = "SELECT count(*) FROM links WHERE owner = $1";
    ADD = "INSERT INTO links (owner, id, name, peer, peer_name, addresses, tls_name, root, certificate, certificate_not_after,
            sealed_key, offer_grant_name, offer_workspace, offer_resources, offer_subject, offer_not_after, added_at, words,
            made_of, made_key, made_words)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT DO NOTHING";
    REPLACE = "UPDATE links SET peer = $3, peer_name = $4, addresses = $5, tls_name = $6, root = $7, certificate = $8,
            certificate_not_after = $9, sealed_key = $10, offer_grant_name = $11, offer_workspace = $12,
            offer_resources = $13, offer_subject = $14, offer_not_after = $15, words = $16, next_certificate = NULL, next_not_after = NULL,
            next_sealed_key = NULL, made_of = $17, made_key = $18, made_words = $19, ended_at = NULL, last_answer = NULL
        WHERE owner = $1 AND id = $2";
    KEEP_NEXT = "UPDATE links SET next_certificate = $4, next_not_after = $5, next_sealed_key = $6
        WHERE owner = $1 AND id = $2 AND certificate = $3";
    TAKE_NEXT = "UPDATE links SET certificate = next_certificate, certificate_not_after = next_not_after,
            sealed_key = next_sealed_key, next_certificate = NULL, next_not_after = NULL, next_sealed_key = NULL
        WHERE owner = $1 AND id = $2 AND next_certificate = $3";
    DROP_NEXT = "UPDATE links SET next_certificate = NULL, next_not_after = NULL, next_sealed_key = NULL
        WHERE owner = $1 AND id = $2 AND next_certificate = $3";
    FORGET_WORDS = "UPDATE links SET words = NULL WHERE owner = $1 AND id = $2 AND words = $3";
    REMEMBER_END = "UPDATE links SET ended_at = $4, last_answer = $5
        WHERE owner = $1 AND id = $2 AND certificate = $3 AND ended_at IS NULL";
    FORGET_END = "UPDATE links SET ended_at = NULL, last_answer = NULL WHERE owner = $1 AND id = $2 AND certificate = $3";
    REMOVE = "DELETE FROM links WHERE owner = $1 AND id = $2";
    KEYS = "SELECT owner, spki, invite, sealed_key, not_after FROM link_keys WHERE owner = $1 AND not_after > $2 ORDER BY not_after";
    KEEP_KEY = "INSERT INTO link_keys (owner, spki, invite, sealed_key, not_after) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    FORGET_KEY = "DELETE FROM link_keys WHERE owner = $1 AND spki = $2";
    FORGET_OLD_KEYS = "DELETE FROM link_keys WHERE owner = $1 AND not_after <= $2";
    DIRECTORY = "SELECT id, name, owner_name, peer_name, added_at FROM link_directory() ORDER BY owner_name, name";
}
