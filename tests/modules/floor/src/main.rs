//! Test only: what any authenticator has to ask of the proxy at a request, and nothing else: all
//! headers read, the credential taken off, who it is told to the upstream and left in filter state.
//! Written on the plain SDK. No authenticator that keeps our contract can cost less than this, so
//! `make bench` measures it beside them.

#[cfg(target_os = "wasi")]
mod floor {
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType};

    pub(crate) struct Root;
    struct Stream;

    impl Context for Root {}
    impl Context for Stream {}

    impl HttpContext for Stream {
        fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
            let headers = self.get_http_request_headers_bytes();
            if headers.iter().any(|(name, _)| name == "authorization") {
                self.set_http_request_header("authorization", None);
            }
            self.set_http_request_header("x-auth-subject", Some("carol"));
            self.set_property(vec!["gatehouse.subject"], Some(b"carol"));
            Action::Continue
        }
    }

    impl RootContext for Root {
        fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Stream))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }
}

fn main() {
    #[cfg(target_os = "wasi")]
    proxy_wasm::set_root_context(|_| Box::new(floor::Root));
}
