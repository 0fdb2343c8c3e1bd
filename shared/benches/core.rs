//! What the core does at every request, each part by itself, natively. `make bench` runs it beside
//! the measurements in the real Envoy; it is for finding a cause, not for comparing filters.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use shared::cache::Verified;
use shared::headers::{Headers, write_pairs};
use shared::matching::path::{Pattern, Readings};
use shared::store::Store;
use shared::tally::Tally;
use shared::testing::Proxy;
use shared::time::Timestamp;

/// What a browser sends, more or less.
const REQUEST: [(&str, &str); 16] = [
    (":method", "GET"),
    (":path", "/users/7?full=yes"),
    (":authority", "api.example.com"),
    (":scheme", "https"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("authorization", "Basic Y2Fyb2w6Y2Fyb2w6cw=="),
    ("cookie", "a=1; b=2; session=0123456789abcdef0123456789abcdef"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "d9b3a6c2-0000-4000-8000-000000000000"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("priority", "u=0, i"),
];

fn headers(c: &mut Criterion) {
    let pairs = REQUEST.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let bytes = write_pairs(pairs);
    c.bench_function("headers: parse 16", |b| {
        b.iter(|| Headers::parse(black_box(bytes.clone())));
    });
    let headers = Headers::parse(bytes).unwrap_or_default();
    c.bench_function("headers: one of 16", |b| b.iter(|| headers.sole(black_box("authorization"))));
}

fn paths(c: &mut Criterion) {
    let Ok(pattern) = Pattern::parse("/users/{id}/**") else { return };
    for (name, path) in
        [("plain", "/users/7/x?full=yes"), ("ambiguous", "/users/%2e%2e/users/7//x")]
    {
        c.bench_function(&format!("path: {name}"), |b| {
            b.iter(|| {
                let readings = Readings::of(black_box(path.as_bytes()));
                readings.and_then(|readings| readings.agree(|path| pattern.matches(path)))
            });
        });
    }
}

fn verified(c: &mut Criterion) {
    let entries = NonZeroUsize::MIN.saturating_add(1023);
    let mut cache = Verified::new([7; 16], entries, Duration::from_secs(300));
    let now = Timestamp::from_secs(1_800_000_000);
    let credential = b"Y2Fyb2w6Y2Fyb2w6cw==";
    cache.remember(cache.fingerprint(credential), (), now);
    c.bench_function("verified: find", |b| {
        b.iter(|| {
            let fingerprint = cache.fingerprint(black_box(credential));
            cache.find(&fingerprint, now)
        });
    });
}

fn tally(c: &mut Criterion) {
    let proxy = Proxy::default();
    let tally = Tally::new("bench", Duration::from_secs(60), [7; 16]);
    let now = Timestamp::from_secs(1_800_000_000);
    for client in 0..10_000_u32 {
        let _ = tally.add(Store::new(&proxy), &client.to_le_bytes(), now);
    }
    c.bench_function("tally: add, full", |b| {
        b.iter(|| tally.add(Store::new(&proxy), black_box(b"10.0.0.1"), now));
    });
}

criterion_group!(core, headers, paths, verified, tally);
criterion_main!(core);
