//! Strangers of this machine at the port: they take no place of a program that has a token.

use crate::stage::{Stage, is_closed, said};
use domain::token::ProgramToken;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_and_half_heads_lock_nobody_out_and_end() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let mut silent = Vec::new();
    for number in 0..150 {
        let mut stream = stage.connect().await;
        if number % 2 == 0 {
            drop(stream.write_all(b"GET /v1/me HTTP/1.1\r\nhost: ").await);
        }
        silent.push(stream);
    }
    assert_eq!(stage.asked("GET /v1/me", &token, "").await.status, 200);
    assert!(is_closed(&mut silent[0]).await, "the eldest gave way");
    // Byte by byte, for ever: the head has five seconds as a whole.
    let (mut slow, began) = (stage.connect().await, Instant::now());
    let head = stage.head("GET /v1/me", &token, &"x-a: b\r\n".repeat(40));
    for byte in head.as_bytes() {
        if slow.write_all(&[*byte]).await.is_err() || began.elapsed() > Duration::from_secs(15) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(12), "it was read for {:?}", began.elapsed());
    assert!(is_closed(silent.last_mut().expect("one")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_limited_and_keep_no_good_one_out() {
    let stage = Stage::open().await;
    let (good, fresh) = (stage.owners_token().await, stage.token(stage.instance.owner, "new").await);
    assert_eq!(stage.asked("GET /v1/me", &good, "").await.status, 200);
    let wrong = || ProgramToken::generate(&stage.instance.world).encode().expose().clone();
    let mut statuses = Vec::new();
    for _ in 0..25 {
        statuses.push(stage.asked("GET /v1/me", &wrong(), "").await.status);
    }
    assert_eq!(statuses, [vec![401; 20], vec![429; 5]].concat());
    let busy = stage.asked("GET /v1/me", &wrong(), "").await;
    busy.is_refused(429, "busy");
    let wait =
        busy.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).map(str::trim).expect("it says when");
    assert!((1..=60).contains(&wait.parse::<u32>().expect("seconds")), "{busy:?}");
    assert!(busy.body.contains(&format!("try again in {wait} s")), "the header says what the words say: {busy:?}");
    stage.asked("GET /v1/me", "mft1.none", "").await.is_refused(401, "unauthorized");
    assert_eq!(stage.asked("GET /v1/me", &good, "").await.status, 200);
    assert_eq!(stage.asked("GET /v1/me", &fresh, "").await.status, 429, "one that this process has not heard of waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_so_many_connections_and_others_have_theirs() {
    let stage = Stage::open().await;
    let bob = stage.instance.user("bob", domain::rights::Role::Member).await;
    let (own, bobs) = (stage.owners_token().await, stage.token(bob, "ci").await);
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut stream = stage.connect().await;
        stream.write_all(stage.head("GET /v1/me", &own, "").as_bytes()).await.expect("it listens");
        assert_eq!(said(&mut stream).await.status, 200);
        held.push(stream);
    }
    stage.asked("GET /v1/me", &own, "").await.is_refused(429, "busy");
    assert_eq!(stage.asked("GET /v1/me", &bobs, "").await.status, 200);
    drop(held);
    let end = Instant::now() + Duration::from_secs(20);
    while stage.asked("GET /v1/me", &own, "").await.status != 200 {
        assert!(Instant::now() < end, "the places of connections that ended are not free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_or_none_is_not_answered_with_anything() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    for head in [
        stage.head("GET /v1/me", &token, &format!("x-large: {}\r\n", "x".repeat(140_000))),
        stage.head("GET /v1/me", &token, &"x-many: x\r\n".repeat(100)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "nothing of HTTP\r\n\r\n".to_owned(),
    ] {
        let (mut stream, mut bytes) = (stage.connect().await, Vec::new());
        drop(stream.write_all(head.as_bytes()).await);
        drop(stream.read_to_end(&mut bytes).await);
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.is_empty() || (text.starts_with("HTTP/1.1 4") && text.ends_with("\r\n\r\n")), "{text}");
    }
}
