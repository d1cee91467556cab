//! The strings and bytes that the page spells out, read and made by the program itself.

use super::{fenced, page, section};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    Time,
    calling::Calling,
    id::{GrantId, ItemId, Spki},
    invite::Invite,
    operation::{List, Operation},
    page::{PageToken, Position},
    secret::Secret,
    words::{Added, Nonce, Opening, Words},
};
use link::call::Saying;
use pki::CallSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const INVITE: &str = "mfi1.";

/// The blocks of the section on invites: the string and what it says.
fn invite(page: &str) -> (&str, Value) {
    let blocks = fenced(section(page, "The invite"));
    let text = blocks.iter().find(|block| block.starts_with(INVITE)).unwrap();
    let says = blocks.iter().find(|block| block.starts_with('{')).unwrap();
    (text, serde_json::from_str(says).unwrap())
}

#[test]
fn the_example_of_an_invite_is_read_as_the_page_says() {
    let page = page();
    let (text, says) = invite(&page);
    let read = Invite::decode(text).unwrap();
    let read = json!({
        "token": read.token.expose(),
        "addresses": read.addresses,
        "enrol_addresses": read.enrol_addresses,
        "tls_name": read.tls_name,
        "root": hex::encode(read.root),
        "instance_id": read.instance.to_string(),
        "instance_name": read.instance_name,
        "grant_id": read.grant.to_string(),
        "offer": read.offer,
        "expires_at": read.expires_at,
        "words_commitment": hex::encode(read.commitment.0),
    });
    assert_eq!(read, says);
    assert_eq!(says["tls_name"], format!("{}.mosaic-fed.internal", says["instance_id"].as_str().unwrap()));
}

#[test]
fn its_length_and_its_check_are_what_the_page_says() {
    let page = page();
    let body: String = invite(&page).0.trim_start_matches(INVITE).split_whitespace().collect();
    let bytes = URL_SAFE_NO_PAD.decode(body).unwrap();
    let (message, check) = bytes.split_last_chunk::<4>().unwrap();
    let said = format!("The message has {} bytes, the check is `{}`", message.len(), hex::encode(check));
    assert!(page.contains(&said), "{said}");
}

#[test]
fn the_examples_of_a_page_token_and_of_a_query_hash_are_the_programs_own() {
    let page = page();
    let grant: GrantId = invite(&page).1["grant_id"].as_str().unwrap().parse().unwrap();
    let tasks = List::first("tasks".parse().unwrap());
    let created_at: Time = "2026-11-21T09:15:00.123456Z".parse().unwrap();
    let id: ItemId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    let token = PageToken::new(tasks.binding(&grant.to_string()), Position { created_at, id });
    assert_eq!(URL_SAFE_NO_PAD.decode(token.encode()).unwrap().len(), 41);
    let section = section(&page, "Page tokens and query hashes");
    assert!(section.contains(&format!("`{}`", token.encode())), "{}", token.encode());
    let hash = List { limit: Some(50), ..tasks }.query_hash();
    assert!(section.contains(&format!("`{hash}`")), "{hash}");
}

/// 32 bytes that the page names with a byte of which there are 32: "`words_opening` is 32 bytes of 5".
fn example(page: &str, field: &str) -> [u8; 32] {
    let said = format!("`{field}` is 32 bytes of ");
    let after = &page[page.find(&said).unwrap_or_else(|| panic!("no `{said}`")) + said.len()..];
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    [digits.parse().unwrap(); 32]
}

/// Made by hand from the page's own table, and by the program.
#[test]
fn the_example_of_four_words_is_made_as_the_page_says() {
    let page = page();
    let read = Invite::decode(invite(&page).0).unwrap();
    let key = [7; 32];
    let length = u64::try_from(read.root.len()).unwrap().to_be_bytes();
    let prefix = b"mosaic-fed words 1\0";
    let opening = example(&page, "words_opening");
    let nonce = example(&page, "words_nonce");
    let commitment = Sha256::digest([&b"mosaic-fed words commitment 1\0"[..], &opening].concat());
    assert_eq!(commitment.as_slice(), read.commitment.0, "the invite binds to the opening");
    let parts = [&prefix[..], &length, &read.root, &key, read.grant.0.as_bytes(), &opening, &nonce];
    let hash = Sha256::digest(parts.concat());
    let bits = hash.iter().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().concat();
    let places = (0..4).map(|at| usize::from_str_radix(&bits[11 * at..11 * at + 11], 2).unwrap());
    let list = bip39::Language::English.word_list();
    let words = places.map(|place| list[place]).collect::<Vec<_>>().join(" ");
    let added = Added { opening: Opening(opening), nonce: Nonce(nonce) };
    assert_eq!(Words::of(&read.root, Spki(key), read.grant, added).to_string(), words);
    let section = section(&page, "Enrolling");
    assert!(section.contains(&format!("they are `{words}`")), "{words}");
    assert!(section.contains("| 19 | `mosaic-fed words 1` in ASCII, and a zero byte |") && prefix.len() == 19);
}

/// Bytes written in hex, and where `+ 64 bytes` or the like stands, nothing.
fn bytes(line: &str) -> Vec<u8> {
    let words = line.split_whitespace().map_while(|word| hex::decode(word).ok().filter(|one| one.len() == 1));
    words.flatten().collect()
}

/// The request that this project's own asking side makes is the one that the page spells out.
#[test]
fn a_certificate_request_is_byte_by_byte_what_the_page_says() {
    let page = page();
    let block = fenced(section(&page, "Enrolling")).into_iter().find(|block| block.starts_with("30 LL")).unwrap();
    let told: Vec<_> = block.lines().map(bytes).collect();
    let csr = pki::RequestKey::generate().unwrap().csr;
    let (outer, info) = csr.split_at(if csr[1] == 0x81 { 3 } else { 2 });
    assert_eq!(usize::from(*outer.last().unwrap()), info.len());
    let point = [0; 64];
    let head: Vec<u8> = told[1..5].concat();
    assert_eq!(info[..head.len()], head, "up to the key");
    let after = &info[head.len() + point.len()..];
    let tail: Vec<u8> = told[5..7].concat();
    assert_eq!(after[..tail.len()], tail, "after the key");
    let signature = &after[tail.len()..];
    assert_eq!((signature[0], usize::from(signature[1]), signature[2]), (3, signature.len() - 2, 0));
    assert_eq!((told[7][0], signature[3]), (3, 0x30));
}

/// The text that an asking side hands over, and what is said over a call, byte by byte.
#[test]
fn the_text_and_the_preamble_of_a_call_are_what_the_program_makes_of_them() {
    let page = page();
    let addresses = ["192.0.2.7:7446", "[2001:db8::7]:7446"].map(str::to_owned).to_vec();
    let id = "0f8fad5b-d9cb-469f-a165-70867728950e".parse().unwrap();
    let (secret, expires_at) = (Secret::new([0xab; 32]), Time::from_seconds(1_795_000_000));
    let text = Calling { id, secret: secret.clone(), key: Spki([7; 32]), addresses, expires_at }.encode();
    assert!(page.contains(text.expose()), "{}", text.expose());
    let grant = "7c9e6679-7425-40de-944b-e07fc1f90ae7".parse().unwrap();
    let key = CallSecret::new(id, secret).grant(grant, &Opening([0x0c; 32])).unwrap();
    let challenge = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let words = Saying::Grant { grant, key }.words(&challenge).unwrap();
    assert!(page.contains(&hex::encode(&words)), "{}", hex::encode(&words));
}
