//! `gatehouse image`: a module as an OCI image, in a folder, without a daemon and without a registry.
//!
//! 1. It is the form that Istio's agent and Envoy Gateway take first ("compat"): one layer of media type
//!    `application/vnd.oci.image.layer.v1.tar+gzip` with the file `plugin.wasm`, as `docker build` makes it of
//!    `FROM scratch` and `COPY`.
//! 2. The same module makes the same bytes, whoever makes them and when.
//! 3. The folder is an OCI image layout: `skopeo copy oci:FOLDER docker://…`, or `crane push` of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::arguments::ImageArguments;
use crate::module::Module;
use crate::output::{self, Failure, Outcome};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Makes an image of each module.
pub(crate) fn run(arguments: &ImageArguments) -> Result<Outcome, Failure> {
    let modules = arguments.modules.iter().map(|path| Module::read(path));
    let modules = modules.collect::<Result<Vec<_>, _>>()?;
    let mut folders = BTreeMap::new();
    for (path, module) in arguments.modules.iter().zip(&modules) {
        let folder = arguments.to.join(&module.name);
        if let Some(other) = folders.insert(folder.clone(), path) {
            let why = format!("{} is for {} already", folder.display(), other.display());
            return Err(Failure::because(why).within(&path.display().to_string()));
        }
    }
    for module in &modules {
        let folder = arguments.to.join(&module.name);
        let digest = write(module, &arguments.version, &folder)
            .map_err(|why| why.within(&folder.display().to_string()))?;
        output::say(format_args!("{digest}  {}", folder.display()))?;
    }
    Ok(Outcome::Well)
}

/// The layout of one image; its digest, for the `sha256` of a `WasmPlugin`.
fn write(module: &Module, version: &str, folder: &Path) -> Result<String, Failure> {
    let blobs = folder.join("blobs/sha256");
    if blobs.exists() {
        // What an earlier module left is part of no image.
        fs::remove_dir_all(&blobs)?;
    }
    fs::create_dir_all(&blobs)?;
    let tar = tar(&module.bytes)?;
    let layer = blob(&blobs, LAYER, &gzip(&tar)?)?;
    let config = blob(&blobs, CONFIG, config(module, version, &tar).to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": {
            "org.opencontainers.image.title": module.name,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    });
    let mut manifest = blob(&blobs, MANIFEST, manifest.to_string().as_bytes())?;
    let digest = manifest.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Value::Object(fields) = &mut manifest {
        fields.insert("annotations".into(), json!({"org.opencontainers.image.ref.name": version}));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    Ok(digest)
}

/// What the image says of itself. The platform is what `docker build` says; who takes the file does not ask.
fn config(module: &Module, version: &str, tar: &[u8]) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {
            "org.opencontainers.image.title": module.name,
            "org.opencontainers.image.version": version,
        }},
        "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
    })
}

/// An archive of the one file, without anything of the machine or the hour.
fn tar(module: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(module.len()).unwrap_or(u64::MAX));
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "plugin.wasm", module)?;
    Ok(archive.into_inner()?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    // Without a time; 255 is an operating system that is not known (RFC 1952, 2.3.1).
    let builder = GzBuilder::new().mtime(0).operating_system(255);
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Writes a blob under its digest; what refers to it.
fn blob(blobs: &Path, kind: &str, bytes: &[u8]) -> Result<Value, Failure> {
    let digest = digest(bytes);
    fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
    Ok(json!({"mediaType": kind, "digest": digest, "size": bytes.len()}))
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("sha256:{hex}")
}
