//! A filter that Envoy discovers from a file (ECDS), so that its configuration can change while it runs.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::choice::Form;
use super::parts::{put, shared_folder, source, wasm_of};
use crate::modules::BUNDLE;

/// A filter of ours whose configuration is in a file, for [`Setup::native`](super::Setup::native).
pub struct Watched {
    /// The module's name, the plugin's, its root id.
    plugin: [String; 3],
    folder: TempDir,
}

impl Watched {
    /// A plugin of the module that has every filter.
    pub fn bundled(name: &str, root_id: &str, config: &Value) -> Self {
        Self::new(BUNDLE, name, root_id, config)
    }

    /// A filter's own module.
    pub fn alone(name: &str, config: &Value) -> Self {
        Self::new(name, name, "", config)
    }

    fn new(file: &str, name: &str, root_id: &str, config: &Value) -> Self {
        let folder = shared_folder();
        let watched = Self { plugin: [file, name, root_id].map(str::to_owned), folder };
        watched.replace(config);
        watched
    }

    /// The filter as it stands in a listener.
    pub fn filter(&self) -> Value {
        json!({
            "name": self.plugin[1],
            "config_discovery": {
                "config_source": source(&self.path()),
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        })
    }

    /// Puts another configuration in the place of the one before, at once.
    pub fn replace(&self, config: &Value) {
        let [file, name, root_id] = &self.plugin;
        let mut resource = wasm_of(file, name, root_id, Form::Text.of(config));
        resource["@type"] = json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
        put(&self.path(), &json!({"resources": [resource]}).to_string());
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("resource.json")
    }
}
