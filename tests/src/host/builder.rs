//! What a test says about the proxy before the module starts.

use super::Host;
use super::shared::Shared;

impl Host {
    /// The environment of the virtual machine.
    pub fn environment(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        self.state_mut().environment = owned.collect();
        self
    }

    /// The configuration of the virtual machine, which plugins share.
    pub fn vm_configuration(mut self, configuration: &[u8]) -> Self {
        self.state_mut().vm_configuration = configuration.to_vec();
        self
    }

    /// Which of a module's filters this plugin is.
    pub fn root_id(self, id: &str) -> Self {
        self.property(&["plugin_root_id"], id)
    }

    /// Makes this host a worker of the proxy whose shared data these are.
    pub fn shared(mut self, shared: &Shared) -> Self {
        self.state_mut().shared = shared.clone();
        self
    }

    /// Makes a cluster known. Calls to others are refused.
    pub fn cluster(mut self, name: &str) -> Self {
        self.state_mut().clusters.insert(name.to_owned());
        self
    }

    /// As [`Self::set_property`], while a host is made.
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.set_property(path, Some(value.as_ref()));
        self
    }

    /// Makes a foreign function known.
    pub fn foreign(
        mut self,
        name: &str,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, u32> + Send + 'static,
    ) -> Self {
        self.state_mut().foreign.insert(name.to_owned(), Box::new(function));
        self
    }

    /// The seed of the random bytes.
    pub fn seed(mut self, seed: u64) -> Self {
        self.state_mut().random = seed;
        self
    }

    /// As [`Self::set_log_level`], while a host is made.
    pub fn log_level(mut self, level: u32) -> Self {
        self.set_log_level(level);
        self
    }
}
