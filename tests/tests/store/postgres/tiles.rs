//! Tiles of the tree over the log that somebody changed in the database.

use super::run;
use crate::{
    bench::Bench,
    suite::tree::{records, said, tree},
};
use pki::AuditKey;
use std::sync::Arc;

/// A tile of other leaves, with the root over them.
const FORGED: &str = "DO $$
DECLARE
    nodes bytea[] := ARRAY(SELECT sha256(i::text::bytea) FROM generate_series(1, 256) AS i);
    leaves bytea := string_agg(node, '') FROM UNNEST(nodes) AS node;
BEGIN
    WHILE cardinality(nodes) > 1 LOOP
        nodes := ARRAY(SELECT sha256('\\x01'::bytea || nodes[2 * i - 1] || nodes[2 * i]) FROM generate_series(1, cardinality(nodes) / 2) AS i);
    END LOOP;
    UPDATE audit_tiles SET hashes = leaves, root = nodes[1] WHERE level = 0 AND number = 0;
END $$";

#[tokio::test]
async fn tiles_that_somebody_changed_prove_nothing_and_are_made_anew() {
    let bench = Bench::on_postgres().await;
    let superuser = bench.database.as_ref().unwrap().superuser();
    let (key, dir) = (Arc::new(AuditKey::generate().unwrap()), tempfile::tempdir().unwrap());
    records(&bench, 700).await;
    let at_work = tree(&bench, &key, dir.path());
    let before = at_work.checkpoint().await.unwrap();
    for change in [
        "UPDATE audit_tiles SET hashes = decode(repeat('00', 8192), 'hex')",
        "UPDATE audit_tiles SET root = decode(repeat('00', 32), 'hex')",
        "DELETE FROM audit_tiles WHERE number = 0",
        "INSERT INTO audit_tiles SELECT level, number + 100, hashes, root FROM audit_tiles",
        "INSERT INTO audit_tiles SELECT 1, 36028797018963967, hashes, root FROM audit_tiles LIMIT 1",
    ] {
        run(&superuser, change).await.unwrap();
        records(&bench, 1).await;
        let again = tree(&bench, &key, dir.path());
        let proof = again.prove(3).await.unwrap();
        assert!(proof.check().is_ok_and(|checkpoint| checkpoint.size > said(&before).size), "{change}");
        // The tree that was at work through it all has grown to the same.
        assert_eq!(at_work.checkpoint().await.unwrap(), again.checkpoint().await.unwrap(), "{change}");
    }
    // Where no checkpoint covers them, nothing that lies there is believed.
    run(&superuser, FORGED).await.unwrap();
    std::fs::remove_file(dir.path().join(api::tree::FILE)).unwrap();
    let again = tree(&bench, &key, dir.path());
    assert_eq!(again.checkpoint().await.unwrap(), at_work.checkpoint().await.unwrap());
    assert!(again.prove(3).await.unwrap().check().is_ok());
    // One that is asked for is made anew without a restart.
    for change in [
        "DELETE FROM audit_tiles WHERE number = 0",
        "UPDATE audit_tiles SET hashes = decode(repeat('00', 8192), 'hex')",
    ] {
        run(&superuser, change).await.unwrap();
        assert!(at_work.prove(3).await.unwrap().check().is_ok(), "{change}");
    }
    // An entry that was changed is another thing.
    run(&superuser, "UPDATE audit SET hash = sha256('x') WHERE sequence = 3").await.unwrap();
    assert!(at_work.prove(3).await.unwrap().check().is_err());
    assert!(
        tree(&bench, &key, dir.path()).prove(4).await.unwrap().check().is_ok(),
        "its hash is in the tree as it was"
    );
}
