//! Tiles of the tree over the log that somebody changed in the database.

use super::run;
use crate::{
    bench::Bench,
    suite::tree::{records, said, tree},
};
use pki::AuditKey;
use std::sync::Arc;

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
    ] {
        run(&superuser, change).await.unwrap();
        records(&bench, 1).await;
        let again = tree(&bench, &key, dir.path());
        let proof = again.prove(3).await.unwrap();
        assert!(proof.check().is_ok_and(|checkpoint| checkpoint.size > said(&before).size), "{change}");
        // The tree that was at work through it all has grown to the same.
        assert_eq!(at_work.checkpoint().await.unwrap(), again.checkpoint().await.unwrap(), "{change}");
    }
    // An entry that was changed is another thing.
    run(&superuser, "UPDATE audit SET hash = sha256('x') WHERE sequence = 3").await.unwrap();
    assert!(at_work.prove(3).await.unwrap().check().is_err());
    assert!(
        tree(&bench, &key, dir.path()).prove(4).await.unwrap().check().is_ok(),
        "its hash is in the tree as it was"
    );
}
