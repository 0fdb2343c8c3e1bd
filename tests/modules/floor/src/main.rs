//! Test only: what a filter of ours has to ask of the proxy at every request to keep the contract, and nothing
//! else. Written on the plain SDK, and it decides nothing: `make bench` measures it beside the filters.
//!
//! Its configuration has the words for what it does once it has read the headers:
//!
//! | word | what it does | whose |
//! | --- | --- | --- |
//! | `settings` | reads what the route and its virtual host say for the filter | all that decide |
//! | `credential` | takes the credential off | an authenticator's |
//! | `leave` | leaves evidence | an authenticator's |
//! | `tell` | tells the upstream and the access log who it is | an authenticator's, or the policy's behind it |
//! | `evidence` | reads what an authenticator left | the policy's |
//! | `operation` | leaves service and method | the policy's |
//! | `count` | reads the count that all workers share, and replaces it | a limit's |
//! | `trace` | goes on with a span of the proxy's, leaves both ids | a trace's |
//! | `event` | counts what was decided | all that decide |
//! | `line` | at the end reads status and duration, and measures it | a line's |

#[cfg(target_os = "wasi")]
mod floor {
    use proxy_wasm::hostcalls::{define_metric, increment_metric, record_metric};
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType, MetricType};

    /// The words, and what is counted where the configuration has theirs.
    #[derive(Clone, Copy, Default)]
    pub(crate) struct Root {
        settings: bool,
        credential: bool,
        leave: bool,
        tell: bool,
        evidence: bool,
        operation: bool,
        count: bool,
        trace: bool,
        event: Option<u32>,
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
            if self.0.settings {
                let _ = self.get_property(vec!["xds", "route_metadata"]);
                let _ = self.get_property(vec!["xds", "virtual_host_metadata"]);
            }
            if self.0.trace {
                let parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
                self.set_http_request_header("traceparent", Some(parent));
                self.leave("gatehouse.trace_id", "0af7651916cd43dd8448eb211c80319c");
                self.leave("gatehouse.span_id", "00f067aa0ba902b7");
            }
            if self.0.credential && headers.iter().any(|(name, _)| name == "authorization") {
                self.set_http_request_header("authorization", None);
            }
            if self.0.leave {
                self.leave("gatehouse.evidence.floor", r#"{"scheme":"basic","subject":"carol"}"#);
            }
            if self.0.evidence {
                let _ = self.get_property(vec!["gatehouse.evidence.api-key-auth"]);
            }
            if self.0.operation {
                self.leave("gatehouse.service", "users");
                self.leave("gatehouse.method", "show");
            }
            if self.0.tell {
                self.set_http_request_header("x-auth-subject", Some("carol"));
                self.set_http_request_header("x-auth-scheme", Some("basic"));
                self.leave("gatehouse.subject", "carol");
            }
            if self.0.count {
                let (slots, version) = self.get_shared_data("floor");
                let slots = slots.unwrap_or_else(|| vec![0; 64]);
                // Whether another worker was faster is nothing to this one.
                let _ = self.set_shared_data("floor", Some(&slots), version);
            }
            if let Some(event) = self.0.event {
                let _ = increment_metric(event, 1);
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
            let counts =
                |word, kind, name| has(word).then(|| define_metric(kind, name).ok()).flatten();
            *self = Self {
                settings: has("settings"),
                credential: has("credential"),
                leave: has("leave"),
                tell: has("tell"),
                evidence: has("evidence"),
                operation: has("operation"),
                count: has("count"),
                trace: has("trace"),
                event: counts("event", MetricType::Counter, "floor.allowed"),
                line: counts("line", MetricType::Histogram, "floor.duration"),
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
