//! What administrators do with webhooks, and what webhooks must not do for them.

use crate::{
    receiver::{Hook, Reaction, Receiver, quick, read},
    rig::{Rig, eventually, string},
    webhooks::events,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufReader, Write},
    net::TcpListener,
    sync::{Arc, mpsc},
    time::Duration,
};

#[test]
fn both_secrets_sign_while_one_follows_the_other() {
    let rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people"]);
    let path = hook.path("/secret");
    let told = org.client.post_once(&path, "once", &json!({})).is(201);
    let again = org.client.post_once(&path, "once", &json!({})).is(201);
    assert_eq!(told, again, "a repeat changes nothing");
    let (second, until) = (string(&told, "secret"), string(&told, "previous_secret_until"));
    assert!(second != hook.secret && second.starts_with("whsec_"));
    assert_eq!(hook.show()["previous_secret_until"], *until);
    org.person("One");
    eventually("it arrives", || receiver.count() > 0);
    let post = receiver.posts().remove(0);
    assert!(post.is_signed_by(&hook.secret) && post.is_signed_by(&second) && post.signatures() == 2);
    let third = string(&org.client.post(&path, &json!({})).is(201), "secret");
    org.person("Two");
    // The first may come again when its answer was late.
    let next = || receiver.posts().into_iter().find(|post| post.is_signed_by(&third));
    eventually("the next", || next().is_some());
    let post = next().unwrap();
    assert!(!post.is_signed_by(&hook.secret) && post.is_signed_by(&second) && post.signatures() == 2);
    let log = rig.log_text();
    assert!([&hook.secret, &second, &third].iter().all(|secret| !log.contains(&secret["whsec_".len()..])));
    let told = Value::from(events(&org, string(&org.client.get("/events?limit=1").is(200), "next"))).to_string();
    assert!(
        told.contains("webhooks.secret_rotated") && !told.contains("whsec_") && !told.contains("key=word"),
        "{told}"
    );
}

#[test]
fn a_test_and_a_redelivery_say_what_came_of_them() {
    let rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people.created"]);
    let sent = hook.post("/test");
    assert_eq!(
        (sent["delivery"]["state"].as_str(), sent["delivery"]["status"].as_u64()),
        (Some("delivered"), Some(204)),
        "{sent}"
    );
    let post = receiver.posts().remove(0);
    assert_eq!(post.json()["type"], "webhooks.test");
    assert!(post.is_signed_by(&hook.secret));
    org.person("One");
    eventually("it arrives", || receiver.taken("people").len() == 1);
    let original = receiver.taken("people").remove(0);
    eventually("it is booked", || hook.log().iter().any(|row| row["id"] == *original.id()));
    let number = hook.log().iter().find(|row| row["id"] == *original.id()).unwrap()["delivery"].clone();
    let path = hook.path(&format!("/deliveries/{number}/redelivery"));
    let first = org.client.post_once(&path, "again", &json!({})).is(200);
    assert_eq!(org.client.post_once(&path, "again", &json!({})).is(200), first, "a repeat sends nothing");
    let posts = receiver.taken("people");
    assert_eq!(posts.len(), 2);
    assert_eq!((posts[1].id(), &posts[1].body), (original.id(), &original.body), "the same message");
    assert_eq!(
        (first["delivery"]["by_hand"].as_bool(), first["delivery"]["id"].as_str()),
        (Some(true), Some(original.id()))
    );
    receiver.react(|_, _| Reaction::Status(400));
    let failed = org.client.post(&path, &json!({})).is(200);
    assert_eq!(
        (failed["delivery"]["state"].as_str(), failed["delivery"]["error"].as_str()),
        (Some("failed"), Some("status"))
    );
    let listed = org.client.get(&hook.path("/deliveries?state=failed&limit=1")).is(200);
    assert_eq!(listed["items"][0]["delivery"], failed["delivery"]["delivery"]);
    for (rest, status, code) in
        [("/deliveries/999/redelivery", 404, "object.not_found"), ("/deliveries/x/redelivery", 404, "object.not_found")]
    {
        org.client.post(&hook.path(rest), &json!({})).problem(status, code);
    }
    org.client.get(&hook.path("/deliveries?state=odd")).problem(400, "request.malformed");
    // Also while it is paused: to see whether it is mended.
    hook.post("/pause");
    assert_eq!(hook.post("/test")["delivery"]["status"], 400);
    org.client.delete(&hook.path("")).ok();
    org.client.post(&hook.path("/test"), &json!({})).problem(404, "object.not_found");
    org.client.get(&hook.path("")).problem(404, "object.not_found");
    assert!(org.client.all("/webhooks", 200).is_empty());
}

#[test]
fn what_only_this_server_can_reach_is_not_reached() {
    let rig = Rig::start();
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let port = receiver.address.port();
    let refused = [
        "http://example.com/",
        "ftp://example.com/",
        "https://user:word@example.com/",
        "https://example.com:22/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https:///",
        "not an address",
        "",
    ];
    for url in refused {
        let problem = org.client.post("/webhooks", &json!({"url": url})).problem(400, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}");
    }
    assert!(org.client.all("/webhooks", 200).is_empty());
    let hook = Hook::make(&org, "https://hooks.example.com/", &[]);
    org.client.patch(&hook.path(""), &json!({"url": "https://127.0.0.1/"})).problem(400, "request.invalid");
    assert_eq!(hook.show()["url"], "https://hooks.example.com/");
    // A name says nothing until it is resolved; then its address counts, each time.
    for name in ["localhost", "ip6-localhost", "localhost.", "LOCALHOST"] {
        org.client.patch(&hook.path(""), &json!({"url": format!("https://{name}:{port}/")})).ok();
        let sent = hook.post("/test");
        let error = sent["delivery"]["error"].as_str();
        assert!(matches!(error, Some("address_forbidden" | "name_not_found")), "{name}: {sent}");
        assert!(
            name == "ip6-localhost" || name == "localhost." || error == Some("address_forbidden"),
            "{name}: {sent}"
        );
        assert_eq!(sent["delivery"]["status"], Value::Null);
    }
    assert_eq!(receiver.count(), 0);
}

#[test]
fn what_was_allowed_once_is_looked_at_again() {
    let mut rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let url = format!("http://localhost:{}/", receiver.address.port());
    let hook = Hook::make(&org, &url, &[]);
    assert_eq!(hook.post("/test")["delivery"]["state"], "delivered");
    let literal = Hook::make(&org, &receiver.url(), &["none"]);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    rig.set("WEBHOOKS__ALLOW_NETWORKS", "10.0.0.0/8");
    rig.start_again();
    let before = receiver.count();
    for hook in [&hook, &literal] {
        assert_eq!(hook.post("/test")["delivery"]["error"], "address_forbidden");
    }
    assert_eq!(receiver.count(), before);
}

#[test]
fn answers_are_read_no_further_than_needed() {
    let rig = quick(&[]);
    let org = rig.org();
    let other = Receiver::that_takes();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["none"]);
    let elsewhere = format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url());
    let endless = format!("HTTP/1.1 500 X\r\ncontent-length: 9000000\r\n\r\n{}", "x".repeat(200_000));
    let short = "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nx".to_owned();
    let garbage = "HELLO\r\n\r\n".to_owned();
    for (answer, state, error, status) in [
        (elsewhere, "failed", Some("redirect"), Some(307)),
        (endless, "failed", Some("status"), Some(500)),
        (short, "delivered", None, Some(200)),
        (garbage, "failed", Some("closed"), None),
    ] {
        receiver.react(move |_, _| Reaction::Whole(answer.clone()));
        let sent = hook.post("/test")["delivery"].clone();
        let told = (sent["state"].as_str(), sent["error"].as_str(), sent["status"].as_u64());
        assert_eq!(told, (Some(state), error, status), "{sent}");
        assert!(sent["response"].as_str().is_none_or(|response| response.len() <= 200));
    }
    receiver.react(|_, _| Reaction::Stall(Duration::from_millis(1500)));
    let sent = hook.post("/test")["delivery"].clone();
    assert_eq!(sent["error"], "timeout");
    assert!(sent["duration_ms"].as_u64().unwrap() < 1400);
    receiver.react(|_, _| Reaction::Drop);
    assert_eq!(hook.post("/test")["delivery"]["error"], "closed");
    assert_eq!(other.count(), 0, "redirects are not followed");
    drop(receiver);
    assert_eq!(hook.post("/test")["delivery"]["error"], "connect");
}

#[test]
fn webhooks_are_bounded_checked_and_the_organisations_own() {
    let rig =
        quick(&[("WEBHOOKS__PER_ORGANISATION_MAX", "2"), ("WEBHOOKS__LOG_ENTRIES", "5"), ("STORE__PARTITIONS", "4")]);
    let (org, other) = (rig.org(), rig.org());
    let receiver = Receiver::that_takes();
    let body = json!({"url": receiver.url(), "description": "ERP", "types": ["people.created"]});
    let made = org.client.post_once("/webhooks", "one", &body).is(201);
    assert_eq!(org.client.post_once("/webhooks", "one", &body).is(201), made);
    let hook = Hook { org: &org, id: string(&made, "webhook"), secret: string(&made, "secret") };
    Hook::make(&org, &receiver.url(), &["none"]);
    assert_eq!(org.client.post_once("/webhooks", "one", &body).is(201), made, "a repeat is no third one");
    org.client.post("/webhooks", &body).problem(409, "webhooks.limit_reached");
    for (field, wrong) in [
        ("types", json!(["Boxes"])),
        ("types", json!([""])),
        ("types", json!(["a b"])),
        ("description", json!(" x")),
        ("types", Value::from(vec!["a"; 33])),
    ] {
        let problem = org.client.patch(&hook.path(""), &json!({field: wrong})).problem(400, "request.invalid");
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with(&format!("/{field}")), "{problem}");
    }
    org.client.patch(&hook.path(""), &json!({"secret": "whsec_x"})).problem(400, "request.malformed");
    other.client.get(&hook.path("")).problem(404, "object.not_found");
    assert!(other.client.all("/webhooks", 200).is_empty());
    for number in 0..12 {
        org.person(&format!("P {number}"));
        other.person(&format!("P {number}"));
    }
    eventually("its own", || receiver.taken("people").len() == 12);
    let people: BTreeSet<_> = org.client.all("/people", 200).iter().map(|row| string(row, "person")).collect();
    assert!(receiver.taken("people").iter().all(|post| people.contains(&string(&post.json(), "entity"))));
    eventually("the log is short", || {
        let log = hook.log();
        log.len() == 5
            && log[0]["delivery"].as_u64() == Some(12)
            && log.is_sorted_by_key(|row| u64::MAX - row["delivery"].as_u64().unwrap())
    });
    org.client.delete(&hook.path("")).ok();
    Hook::make(&org, &receiver.url(), &["none"]);
}

/// Over TLS to a name whose certificate must be good: who is not known is not told anything.
#[test]
fn certificates_are_checked() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, pem) = (made.cert.der().clone(), made.cert.pem());
    let port = tls_receiver(certificate, made.signing_key.serialize_der());
    let mut rig = quick(&[("WEBHOOKS__ALLOW_HTTP", "false"), ("WEBHOOKS__TIMEOUT_MS", "3000")]);
    let org = rig.org();
    let hook = Hook::make(&org, &format!("https://localhost:{}/", port.0), &["none"]);
    let sent = hook.post("/test");
    assert_eq!(sent["delivery"]["error"], "tls", "{sent}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, pem).unwrap();
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    rig.environment("SSL_CERT_FILE", file.to_str().unwrap());
    rig.start_again();
    let sent = hook.post("/test");
    assert_eq!(sent["delivery"]["state"], "delivered", "{sent}");
    assert!(port.1.recv_timeout(Duration::from_secs(5)).unwrap().is_signed_by(&hook.secret));
    org.client.patch(&hook.path(""), &json!({"url": format!("https://127.0.0.1:{}/", port.0)})).ok();
    assert_eq!(hook.post("/test")["delivery"]["error"], "tls", "the name counts");
}

/// Takes what comes over TLS, on this port.
fn tls_receiver(certificate: CertificateDer<'static>, key: Vec<u8>) -> (u16, mpsc::Receiver<crate::receiver::Post>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key).unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hear) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut reader = BufReader::new(tls);
            if let Some(post) = read(&mut reader) {
                let _ = reader.get_mut().write_all(b"HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n");
                let _ = heard.send(post);
            }
        }
    });
    (port, hear)
}
