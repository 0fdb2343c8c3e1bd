//! Test only: a filter that does nothing, written on the plain SDK as anyone would write it. It is
//! what `make bench` measures the filters against.

#[cfg(target_os = "wasi")]
mod empty {
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::ContextType;

    pub(crate) struct Root;
    struct Stream;

    impl Context for Root {}
    impl Context for Stream {}
    impl HttpContext for Stream {}

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
    proxy_wasm::set_root_context(|_| Box::new(empty::Root));
}
