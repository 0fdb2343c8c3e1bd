//! The command line.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Checks configurations of Gatehouse's filters, makes secrets, drains an Envoy.
#[derive(Debug, Parser)]
#[command(name = "gatehouse", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  gatehouse check --strict envoy.yaml          before a proxy has it
  gatehouse hash --user alice                  a line for htpasswd
  gatehouse keygen --api-key                   an API key, and what to configure of it
  gatehouse policy openapi3.json --dialect goa the policy of an API
  gatehouse render gatehouse.yaml --for envoy  a complete bootstrap
  gatehouse schema jwt-auth > jwt-auth.json    what editors check a configuration against
  gatehouse drain --admin 127.0.0.1:9901       ends an Envoy without ending its requests
  gatehouse image dist/*.wasm --to dist/oci    what Istio and Envoy Gateway pull
  gatehouse capabilities dist/jwt-auth.wasm    what the module needs of Envoy, and no more
  gatehouse completions bash > /etc/bash_completion.d/gatehouse

Exit codes: 0 all is well, 1 it is not, 2 it could not be found out.";

/// One of the things that the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Finds what is wrong with a configuration before a proxy has it.
    Check(CheckArguments),
    /// Hashes a password for basic-auth, or an API key for api-key-auth.
    Hash(HashArguments),
    /// Makes a random key.
    Keygen(KeygenArguments),
    /// Makes the policy of an OpenAPI 3 document.
    Policy(PolicyArguments),
    /// Renders what people deploy from one short file.
    Render(RenderArguments),
    /// Prints the JSON Schema of a filter's configuration.
    Schema(SchemaArguments),
    /// Ends an Envoy without ending its requests.
    Drain(DrainArguments),
    /// Makes OCI images of modules, without a daemon.
    Image(ImageArguments),
    /// Prints all that a module may do, for `vm_config` of Envoy.
    Capabilities(CapabilitiesArguments),
    /// Prints what makes a shell complete this program's arguments.
    #[command(
        after_help = "Example:\n  gatehouse completions bash > /etc/bash_completion.d/gatehouse"
    )]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Finds what is wrong with a configuration before a proxy has it.
///
/// Reads an Envoy bootstrap, an xDS resource, an Istio WasmPlugin or EnvoyFilter, an Envoy Gateway
/// EnvoyExtensionPolicy, or the configuration of one filter; YAML or JSON. Every configuration of a
/// filter goes through the code that the module runs.
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArguments {
    /// The files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The files are configurations of this filter; else a first comment line `# NAME` says so.
    #[arg(long, value_name = "NAME", value_parser = crate::check::names())]
    pub(crate) filter: Option<String>,
    /// Takes what proxies take from their environment (host_env_keys) from this program's.
    #[arg(long)]
    pub(crate) env: bool,
    /// An environment variable without a value is no error; what depends on it is checked with a
    /// stand-in.
    #[arg(long)]
    pub(crate) allow_unset: bool,
    /// Fails on warnings too.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  gatehouse check envoy.yaml
  DAVE_PASSWORD=x gatehouse check --env --strict envoy.yaml
  gatehouse check --allow-unset istio/*.yaml
  gatehouse check --filter jwt-auth config.json
  kubectl get wasmplugins -A -o yaml | gatehouse check --allow-unset -

Each line is FILE:LINE: PATH: LEVEL[CODE]: MESSAGE. Exit codes: 0 no error (with --strict no warning
either), 1 some, 2 a file cannot be read (the others are checked all the same) or an argument is wrong.";

/// Prints the JSON Schema of a filter's configuration.
///
/// It is made of the types that the filter reads (JSON Schema 2020-12). What it refuses, the filter
/// refuses; the filter looks closer, so `gatehouse check` has the last word.
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub(crate) struct SchemaArguments {
    /// The filter.
    #[arg(value_name = "FILTER", value_parser = crate::check::filters())]
    pub(crate) filter: String,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  gatehouse schema jwt-auth > jwt-auth.schema.json
  # then, in an editor with the YAML language server, as the first line of a configuration:
  # yaml-language-server: $schema=jwt-auth.schema.json";

/// Hashes a password for basic-auth, or an API key for api-key-auth.
///
/// The secret is asked for on a terminal, without echo, or is the first line of standard input.
#[derive(Debug, Args)]
#[command(after_help = HASH_EXAMPLES)]
pub(crate) struct HashArguments {
    /// bcrypt, the default: slow on graphics cards too.
    #[arg(long, group = "kind")]
    pub(crate) bcrypt: bool,
    /// SHA-512 crypt.
    #[arg(long, group = "kind")]
    pub(crate) sha512: bool,
    /// The SHA-256 of an API key, for the `sha256` of api-key-auth.
    #[arg(long, group = "kind", conflicts_with = "user")]
    pub(crate) key: bool,
    /// The cost of bcrypt: each more doubles the time, which a worker of the proxy stands still for.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=14),
        conflicts_with_all = ["sha512", "key"])]
    pub(crate) cost: u32,
    /// Prints `USER:HASH`, a line for htpasswd.
    #[arg(long)]
    pub(crate) user: Option<String>,
}

const HASH_EXAMPLES: &str = "\
Examples:
  gatehouse hash --user alice >> users.htpasswd
  gatehouse hash --sha512 < password.txt
  printf %s \"$KEY\" | gatehouse hash --key";

/// Makes a random key.
#[derive(Debug, Args)]
#[command(after_help = KEYGEN_EXAMPLES)]
pub(crate) struct KeygenArguments {
    /// How many random bytes the key is made of.
    #[arg(long, default_value = "32", value_parser = parse_bytes)]
    pub(crate) bytes: NonZeroU8,
    /// An API key that can be recognised by its beginning, and its SHA-256 to configure.
    #[arg(long)]
    pub(crate) api_key: bool,
    /// What an API key begins with, before `_`.
    #[arg(long, default_value = "gatehouse", requires = "api_key", value_parser = parse_prefix)]
    pub(crate) prefix: String,
}

const KEYGEN_EXAMPLES: &str = "\
Examples:
  gatehouse keygen                             32 random bytes in base64url
  gatehouse keygen --api-key --prefix acme     acme_… and the sha256 for api-key-auth";

fn parse_bytes(text: &str) -> Result<NonZeroU8, String> {
    let bytes: NonZeroU8 = text.parse().map_err(|_| "is not a number from 16 to 255".to_owned())?;
    if bytes.get() < 16 {
        return Err("less than 16 bytes can be guessed".to_owned());
    }
    Ok(bytes)
}

fn parse_prefix(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (1..=32).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("is not 1 to 32 lower-case letters and digits".to_owned())
    }
}

/// Makes the policy of an OpenAPI 3 document, for access-policy.
///
/// Refuses, with the operation's name, where the document can be read in more than one way. What may
/// surprise is said on standard error.
#[derive(Debug, Args)]
#[command(after_help = POLICY_EXAMPLES)]
pub(crate) struct PolicyArguments {
    /// The document, YAML or JSON; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Who wrote it. In Goa's documents an operation without `security` is open; in others it has the
    /// document's.
    #[arg(long, value_enum)]
    pub(crate) dialect: Dialect,
    /// An operation that is open, by its operationId or as `METHOD PATH`.
    #[arg(long, value_name = "OPERATION")]
    pub(crate) public: Vec<String>,
    /// An operation whose last template is for any rest of the path, as in `/files/{*path}`; named in
    /// the same ways.
    #[arg(long, value_name = "OPERATION")]
    pub(crate) catch_all: Vec<String>,
    /// An operation that the server takes where another's path is as good (`/u/{id}` and `/{x}/admin`), and
    /// that the policy takes too: of two, the one whose literal comes first.
    #[arg(long, value_name = "OPERATION")]
    pub(crate) first: Vec<String>,
    /// A scheme of which a credential is good where another scheme of the same authenticator is required,
    /// if that is named too: the authenticator does not tell them apart.
    #[arg(long, value_name = "SCHEME")]
    pub(crate) interchangeable: Vec<String>,
    /// The authenticator of OAuth 2.0 and OpenID Connect schemes; default jwt-auth.
    #[arg(long, value_name = "FILTER", value_parser = ["jwt-auth", "token-introspection", "oauth2-login"])]
    pub(crate) oauth2: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who wrote a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// Goa.
    Goa,
    /// Anybody, by the standard.
    Openapi,
}

const POLICY_EXAMPLES: &str = "\
Examples:
  gatehouse policy openapi3.json --dialect goa > policy.yaml
  gatehouse policy old.json --dialect goa --public 'users#public' --catch-all 'files#read'
  gatehouse policy api.yaml --dialect openapi --oauth2 token-introspection
  gatehouse policy api.yaml --dialect openapi --interchangeable key --interchangeable oldKey

Each error is FILE:LINE: error: MESSAGE. Exit codes: 0 a policy, 1 the document is wrong or ambiguous, 2 the
file cannot be read or an argument is wrong.";

/// Renders what people deploy from one short file.
///
/// The file has `name`, `listeners`, `upstreams`, `routes` and `filters`. What is rendered has the
/// time-outs and limits of Goa's production guide, and passes `gatehouse check`.
#[derive(Debug, Args)]
#[command(after_help = RENDER_EXAMPLES)]
pub(crate) struct RenderArguments {
    /// The file, YAML or JSON; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// For what.
    #[arg(long = "for", value_enum)]
    pub(crate) target: Target,
    /// Where the modules are that Envoy will have, if not where the file says: what they may do is
    /// written into the bootstrap.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) modules: Option<PathBuf>,
}

/// What a file is rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// A bootstrap of Envoy.
    Envoy,
    /// `WasmPlugin`s of Istio.
    Istio,
    /// An `EnvoyExtensionPolicy` of Envoy Gateway.
    EnvoyGateway,
}

const RENDER_EXAMPLES: &str = "\
Examples:
  gatehouse render gatehouse.yaml --for envoy > envoy.yaml && envoy --mode validate -c envoy.yaml
  gatehouse render gatehouse.yaml --for istio | kubectl apply -f -
  gatehouse render gatehouse.yaml --for envoy-gateway

Each error is FILE:LINE: error: PATH: MESSAGE. Exit codes: 0 rendered, 1 the file is wrong, 2 it cannot
be read or an argument is wrong.";

/// Ends an Envoy without ending its requests.
///
/// Envoy ends at once at SIGTERM, its requests with it. This asks it at its administration to fail its
/// health checks and to close connections as they fall idle, waits until nothing is under way, and then
/// lets it end. Made for a container's preStop hook.
#[derive(Debug, Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub(crate) struct DrainArguments {
    /// The address of Envoy's administration, `host:port`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    pub(crate) admin: String,
    /// How long to wait at most; after that Envoy has 5 s more to take the order to end.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub(crate) wait: Duration,
    /// How long nothing may have been asked before idle connections are no reason to wait.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    pub(crate) quiet: Duration,
    /// Lets Envoy run on, drained.
    #[arg(long)]
    pub(crate) keep: bool,
}

const DRAIN_EXAMPLES: &str = "\
Examples:
  gatehouse drain
  gatehouse drain --admin 127.0.0.1:9901 --wait 45s --keep

Exit codes: 0 drained, 1 the time was over before (Envoy ends all the same, but for --keep), 2 Envoy
could not be asked.";

/// Makes OCI images of modules, without a daemon.
///
/// Each becomes a folder, an OCI image layout, in the form that Istio's agent and Envoy Gateway take. The same
/// module makes the same bytes. Prints the digest of each image.
#[derive(Debug, Args)]
#[command(after_help = IMAGE_EXAMPLES)]
pub(crate) struct ImageArguments {
    /// The modules.
    #[arg(required = true, value_name = "MODULE")]
    pub(crate) modules: Vec<PathBuf>,
    /// Where the folders go: `TO/NAME` for `NAME.wasm`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: PathBuf,
    /// The version, which is the image's tag.
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"), value_parser = parse_tag)]
    pub(crate) version: String,
}

const IMAGE_EXAMPLES: &str = "\
Examples:
  gatehouse image dist/*.wasm --to dist/oci --version 1.2.0
  skopeo copy oci:dist/oci/jwt-auth docker://registry.example/gatehouse/jwt-auth:1.2.0

Exit codes: 0 made, 2 a module cannot be read or is none, a file cannot be written, or an argument is
wrong.";

/// A tag, as the distribution specification has it.
fn parse_tag(text: &str) -> Result<String, String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = text.bytes().next().is_some_and(is_word);
    if first && text.len() <= 128 && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
    {
        Ok(text.to_owned())
    } else {
        Err("is no tag: letters, digits, `_`, `.` and `-`, 128 at most".to_owned())
    }
}

/// Prints all that a module may do, for `vm_config` of Envoy.
///
/// What it imports and the callbacks that it exports, and nothing else. Envoy refuses it every other call. A
/// callback that is left out is not called, and then the filter lets everything pass: print the list anew with
/// every new module.
#[derive(Debug, Args)]
#[command(after_help = CAPABILITIES_EXAMPLES)]
pub(crate) struct CapabilitiesArguments {
    /// The module.
    #[arg(value_name = "MODULE")]
    pub(crate) module: PathBuf,
    /// How many spaces stand before each line.
    #[arg(long, value_name = "SPACES", default_value_t = 0)]
    pub(crate) indent: u8,
}

const CAPABILITIES_EXAMPLES: &str = "\
Examples:
  gatehouse capabilities dist/jwt-auth.wasm --indent 26

Exit codes: 0 printed, 2 the module cannot be read or is none, or an argument is wrong.";

fn parse_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "is not a time such as `500ms` or `30s`".to_owned())
}
