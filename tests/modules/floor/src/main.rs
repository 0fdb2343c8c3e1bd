//! Test only: what a filter of ours has to ask of the proxy at every request to keep the contract, and nothing
//! else. Written on the plain SDK, and it decides nothing: `make bench` measures it beside the filters.
//!
//! Its configuration has the words for what it does once it has read the headers:
//!
//! | word | what it does | whose |
//! | --- | --- | --- |
//! | `identity` | takes the credential off, tells the upstream and the access log who it is | an authenticator's |
//! | `evidence` | reads what an authenticator left, leaves service and method | the policy's |
//! | `count` | reads the count that all workers share, and replaces it | a limit's |
//! | `trace` | goes on with a span of the proxy's, leaves both ids | a trace's |
//! | `line` | at the end reads status and duration, and counts them | a line's |

#[cfg(target_os = "wasi")]
mod floor {
    use proxy_wasm::hostcalls::{define_metric, record_metric};
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType, MetricType};

    #[derive(Clone, Copy, Default)]
    pub(crate) struct Root {
        identity: bool,
        evidence: bool,
        count: bool,
        trace: bool,
        /// The histogram, where there are lines.
        line: Option<u32>,
    }

    struct Stream(Root);

    impl Context for Root {}
    impl Context for Stream {}

    impl Stream {
        fn leave(&self, name: &str, value: &str) {
            self.set_property(vec![name], Some(value.as_bytes()));
        }
    }

    impl HttpContext for Stream {
        fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
            let headers = self.get_http_request_headers_bytes();
            if self.0.trace {
                let parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
                self.set_http_request_header("traceparent", Some(parent));
                self.leave("gatehouse.trace_id", "0af7651916cd43dd8448eb211c80319c");
                self.leave("gatehouse.span_id", "00f067aa0ba902b7");
            }
            if self.0.identity {
                if headers.iter().any(|(name, _)| name == "authorization") {
                    self.set_http_request_header("authorization", None);
                }
                self.set_http_request_header("x-auth-subject", Some("carol"));
                self.leave("gatehouse.subject", "carol");
            }
            if self.0.evidence {
                let _ = self.get_property(vec!["gatehouse.evidence.api-key-auth"]);
                self.leave("gatehouse.service", "users");
                self.leave("gatehouse.method", "show");
            }
            if self.0.count {
                let (slots, version) = self.get_shared_data("floor");
                let slots = slots.unwrap_or_else(|| vec![0; 64]);
                // Whether another worker was faster is nothing to this one.
                let _ = self.set_shared_data("floor", Some(&slots), version);
            }
            Action::Continue
        }

        fn on_log(&mut self) {
            if let Some(metric) = self.0.line {
                let _ = self.get_property(vec!["response", "code"]);
                let _ = self.get_property(vec!["request", "duration"]);
                let _ = record_metric(metric, 1);
            }
        }
    }

    impl RootContext for Root {
        fn on_configure(&mut self, _: usize) -> bool {
            let words = self.get_plugin_configuration().unwrap_or_default();
            let has = |word: &str| String::from_utf8_lossy(&words).contains(word);
            let histogram = || define_metric(MetricType::Histogram, "floor.duration").ok();
            *self = Self {
                identity: has("identity"),
                evidence: has("evidence"),
                count: has("count"),
                trace: has("trace"),
                line: has("line").then(histogram).flatten(),
            };
            true
        }

        fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Stream(*self)))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }
}

fn main() {
    #[cfg(target_os = "wasi")]
    proxy_wasm::set_root_context(|_| Box::<floor::Root>::default());
}
