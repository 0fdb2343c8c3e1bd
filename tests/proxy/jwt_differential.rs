//! `jwt-auth` beside two other libraries: thousands of tokens, good and nearly good, with one
//! verdict for each (`tests/oracle/jwt.py`), through the real Envoy.
//!
//! 1. What PyJWT and joserfc both accept gets 200, what both refuse gets 401.
//! 2. Where they differ, or are kinder than an RFC, the RFC decides.
//! 3. It is so with the proxy's cryptography and with the module's own, and the second time too,
//!    when the token is remembered.
//! 4. What cannot stand in a header is not let through either.
//!
//! `GATEHOUSE_ORACLE_SEED=N` makes other tokens; those of a failure come again with its seed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::Setup;
use tests::modules::top;

const COUNT: &str = "3000";
const THREADS: usize = 4;
/// So many of either verdict for each algorithm, or the test is hollow.
const LEAST_ACCEPTED: usize = 20;
const LEAST_REFUSED: usize = 60;

/// A token and its verdict.
struct Case {
    name: String,
    algorithm: String,
    token: String,
    accept: bool,
    why: String,
    /// After that time, the verdict is another.
    until: Option<Duration>,
}

/// What the oracle made, once for all tests here.
struct Material {
    seed: String,
    providers: Value,
    cases: Vec<Case>,
}

static MATERIAL: LazyLock<Material> = LazyLock::new(Material::made);

impl Material {
    fn made() -> Self {
        let seed = std::env::var("GATEHOUSE_ORACLE_SEED").unwrap_or_else(|_| "7519".to_owned());
        let output = Command::new(python())
            .arg(top().join("tests/oracle/jwt.py"))
            .args(["cases", &seed, COUNT])
            .output()
            .expect("a Python that runs; run `make setup`");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the oracle ended with {}:\n{said}", output.status);
        let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let of = |list: &str| made[list].as_array().expect("a list").iter().map(Case::read);
        let cases = of("cases").chain(of("disputed")).collect();
        Self { seed, providers: made["providers"].clone(), cases }
    }
}

impl Case {
    fn read(case: &Value) -> Self {
        let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
        let accept = match (&case["accept"], case["strict"].as_str()) {
            (Value::Bool(accept), None) => *accept,
            (Value::Null, Some("accept")) => true,
            (Value::Null, Some("reject")) => false,
            _ => panic!("nobody decides {case}"),
        };
        let said = &case["opinions"];
        let why = if said.is_null() { text("why") } else { format!("{} {said}", text("why")) };
        Self {
            name: text("name"),
            algorithm: text("alg"),
            token: text("token"),
            accept,
            why,
            until: case["until"].as_u64().map(Duration::from_secs),
        }
    }

    /// RFC 9110, 5.5: a field's value has no control characters, but tabs.
    fn fits_in_a_header(&self) -> bool {
        self.token.bytes().all(|byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t')
    }

    fn is_still_so(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.until.is_none_or(|until| now < until)
    }

    /// What is wrong with an answer.
    fn objection(&self, status: u16) -> Option<String> {
        let expected: &[u16] = match (self.accept, self.fits_in_a_header()) {
            (true, _) => &[200],
            (false, true) => &[401],
            (false, false) => &[400, 401],
        };
        let Self { name, token, why, .. } = self;
        let objection = || format!("{name}\n   {status}, not {expected:?}: {why}\n   {token}\n");
        (!expected.contains(&status) && self.is_still_so()).then(objection)
    }
}

/// The one that `make setup` has given the libraries.
pub(crate) fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("GATEHOUSE_ORACLE_PYTHON") {
        return path.into();
    }
    let brought = std::fs::read_dir(top().join(".tools")).into_iter().flatten().flatten();
    let oracle = |name: &str| name.starts_with("oracle-");
    let found = brought.filter(|entry| oracle(&entry.file_name().to_string_lossy()));
    let found = found.map(|entry| entry.path().join("bin/python")).find(|path| path.exists());
    found.expect("there is no Python for the oracle; run `make setup`")
}

/// Sends every token, twice in a row, over connections that are kept.
fn disagreements(to: SocketAddr) -> Vec<String> {
    let cases = &MATERIAL.cases;
    let share = cases.len().div_ceil(THREADS);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            cases.chunks(share).map(|cases| scope.spawn(move || send(cases, to))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn send(cases: &[Case], to: SocketAddr) -> Vec<String> {
    let mut connection = Connection::open(to).unwrap();
    let mut objections = Vec::new();
    for case in cases {
        let bearer = format!("Bearer {}", case.token);
        let request = Request::get("/").header("authorization", bearer);
        for _ in 0..2 {
            let status = connection.send(&request).map_or(0, |answer| answer.status);
            objections.extend(case.objection(status));
            if [0, 400].contains(&status) {
                connection = Connection::open(to).unwrap(); // Envoy has closed it
            }
        }
    }
    objections.dedup();
    objections
}

fn check(crypto: &str) {
    let Material { seed, providers, cases } = &*MATERIAL;
    let config = json!({"providers": providers, "crypto": crypto});
    let envoy = Setup::new().filter("jwt-auth", config).workers(2).start();
    let wrong = disagreements(envoy.address());
    let of = cases.len();
    let all = wrong.concat();
    assert!(wrong.is_empty(), "{} of {of} tokens of seed {seed}:\n{all}", wrong.len());
}

#[test]
fn with_the_proxys_cryptography_the_verdicts_are_those_of_others() {
    check("auto");
}

#[test]
fn with_the_modules_cryptography_the_verdicts_are_those_of_others() {
    check("module");
}

#[test]
fn there_is_enough_to_compare() {
    let lists = MATERIAL.providers.as_array().unwrap().iter().map(|one| &one["algorithms"]);
    let algorithms: Vec<_> = lists.flat_map(|list| list.as_array().unwrap()).collect();
    assert_eq!(algorithms.len(), 13);
    for algorithm in algorithms {
        let of = |accept: bool| {
            let fits = |case: &&Case| case.algorithm == *algorithm && case.accept == accept;
            MATERIAL.cases.iter().filter(fits).count()
        };
        let (accepted, refused) = (of(true), of(false));
        assert!(accepted >= LEAST_ACCEPTED, "{algorithm}: {accepted} that are accepted");
        assert!(refused >= LEAST_REFUSED, "{algorithm}: {refused} that are refused");
    }
}
