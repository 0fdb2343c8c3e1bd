//! Wrong configurations, tried in an Envoy that runs, as listeners that it discovers from a file (LDS): the module is
//! compiled once for all of them.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::bootstrap::Setup;
use super::{Envoy, choice, parts};

/// The file of the listeners.
const LISTENERS: &str = "listeners.json";

/// An Envoy that runs with a good configuration, and is given others.
pub struct Trial {
    envoy: Envoy,
    folder: TempDir,
}

impl Trial {
    /// One with a good configuration of the module that is tried.
    pub fn beside(good: &Setup) -> Self {
        let folder = parts::shared_folder();
        let path = folder.path().join(LISTENERS);
        parts::put(&path, &json!({"resources": []}).to_string());
        let source = parts::source(&path);
        let setup = good.clone();
        let setup = setup.bootstrap_fields(&json!({"dynamic_resources": {"lds_config": source}}));
        // A configuration that is refused is an error in the log.
        Self { envoy: setup.vm_may_fail().start(), folder }
    }

    /// The Envoy, in which nothing changes.
    pub const fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// What becomes of a filter's configuration: the line that says why it is refused.
    ///
    /// # Panics
    /// Where Envoy accepts it, or refuses it for something else.
    pub fn error(&self, wrong: &Setup) -> String {
        choice::as_alone(&self.line(wrong))
    }

    /// The same, as the plugin says it, whatever the tests run as.
    ///
    /// # Panics
    /// As [`error`](Self::error) does.
    pub fn line(&self, wrong: &Setup) -> String {
        let (known, [accepted, refused]) = (self.errors(), self.updates());
        let mut listener = wrong.listener("wrong");
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        let place = self.folder.path().display().to_string();
        let text = json!({"resources": [listener]}).to_string().replace("{folder}", &place);
        parts::put(&self.folder.path().join(LISTENERS), &text);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.updates() == [accepted, refused] {
            assert!(Instant::now() < deadline, "Envoy does not look at the configuration");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.updates(), [accepted, refused + 1], "Envoy accepts the configuration");
        let error = self.errors().into_iter().nth(known.len());
        error.unwrap_or_else(|| panic!("no line of ours in:\n{}", self.envoy.log()))
    }

    /// How often listeners were accepted and refused.
    fn updates(&self) -> [u64; 2] {
        ["success", "rejected"].map(|how| {
            let name = format!("listener_manager.lds.update_{how}");
            self.envoy.stat(&name).unwrap_or_default()
        })
    }

    fn errors(&self) -> Vec<String> {
        choice::errors(&self.envoy.log()).map(str::to_owned).collect()
    }
}
