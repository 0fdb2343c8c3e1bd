//! Its limits: of size, of number, of time.

use super::*;

/// So that a test need not wait as long as a client.
const SHORT: [(&str, &str); 5] = [
    ("request_headers_timeout: 10s", "request_headers_timeout: 1s"),
    ("request_timeout: 30s", "request_timeout: 3s"),
    ("idle_timeout: 120s", "idle_timeout: 4s"),
    (" timeout: 60s", " timeout: 2s"),
    ("stream_idle_timeout: 70s", "stream_idle_timeout: 20s"),
];

fn with_headers(mut request: Request, count: usize, length: usize) -> Request {
    for index in 0..count {
        request = request.header(&format!("x-{index}"), vec![b'a'; length]);
    }
    request
}

/// The answer to bytes and then silence, and how long it took.
fn silence(world: &World, bytes: &[u8]) -> (Response, Duration) {
    let mut connection = Connection::open(world.main).unwrap();
    connection.send_bytes(bytes).unwrap();
    let begin = Instant::now();
    (connection.receive().unwrap(), begin.elapsed())
}

#[test]
fn headers_and_bodies_have_a_greatest_size() {
    let world = start(echo, &[]);
    let ask = || carol("GET", "/files/a");
    assert_eq!(world.send(&with_headers(ask(), 90, 10_000)).status, 200);
    assert_eq!(world.send(&with_headers(ask(), 90, 12_000)).status, 431);
    assert_eq!(world.send(&with_headers(ask(), 101, 1)).status, 431);
    let send = |request: Request, length| world.send(&request.body(&vec![b'a'; length])).status;
    const LARGEST: usize = 10 * 1024 * 1024;
    assert_eq!(send(carol("POST", "/users"), LARGEST), 200);
    assert_eq!(world.requests().last().unwrap().body.len(), LARGEST);
    assert_eq!(send(carol("POST", "/users"), LARGEST + 1), 413);
    // Who may not is told so, whatever they bring.
    assert_eq!(send(Request::new("POST", "/users"), 1024), 401);
    assert_eq!(world.requests().len(), 2);
}

#[test]
fn slow_clients_slow_answers_and_idle_connections_end() {
    let hangs = |request: &Received| match request.target.as_str() {
        "/files/never" => Answer::Hang,
        _ => echo(request),
    };
    let world = start(hangs, &SHORT);
    let (answer, time) = silence(&world, b"GET /files/a HTTP/1.1\r\nhost: x\r\n");
    assert_eq!(answer.status, 408);
    assert!(time >= Duration::from_millis(900), "{time:?}");
    let part = carol("POST", "/users").header("content-length", "10").bytes();
    let (answer, time) = silence(&world, &part);
    assert_eq!(answer.status, 408);
    assert!(time >= Duration::from_millis(2900), "{time:?}");
    let begin = Instant::now();
    let answer = world.send(&carol("GET", "/files/never"));
    assert_eq!(answer.status, 504);
    assert!(begin.elapsed() >= Duration::from_millis(1900));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], 504);
    let mut kept = Connection::open(world.main).unwrap();
    assert_eq!(kept.send(&carol("GET", "/files/a")).unwrap().status, 200);
    let begin = Instant::now();
    assert!(kept.receive_bytes(1).is_err());
    assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(world.send(&carol("GET", "/files/a")).status, 200);
}

#[test]
fn what_the_proxy_refuses_reads_as_what_the_filters_refuse() {
    let resets = |request: &Received| match request.target.as_str() {
        "/files/torn" => Answer::Reset,
        _ => echo(request),
    };
    let world = start(resets, &[]);
    let answer = world.send(&carol("GET", "/files/torn"));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], 503);
    let refused = world.send(&Request::get("/users"));
    assert_eq!(refused.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(refused.json()["status"], 401);
}

#[test]
fn clients_are_refused_before_memory_is_short_and_operations_are_not() {
    let few = ("max_active_downstream_connections: 10000", "max_active_downstream_connections: 2");
    let world = start(echo, &[few]);
    let plain = world.envoy.listener("redirect");
    let mut kept: Vec<_> = (0..2).map(|_| Connection::open(plain).unwrap()).collect();
    for connection in &mut kept {
        assert_eq!(connection.send(&Request::get("/")).unwrap().status, 308);
    }
    assert!(Request::get("/").try_send(plain).is_err());
    assert_eq!(world.operations("GET", "/livez").status, 200);
    drop(kept);
    let deadline = Instant::now() + Duration::from_secs(10);
    while Request::get("/").try_send(plain).is_err() {
        assert!(Instant::now() < deadline, "they are refused for ever");
        sleep(Duration::from_millis(50));
    }
}
