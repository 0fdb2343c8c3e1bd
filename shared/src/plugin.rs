//! How a filter becomes a module.

/// Makes a module out of a filter: the whole of its `main.rs`.
///
/// `plugin!(Filter)` is told of requests. `plugin!(Filter, response, log)` is told of responses and
/// of the ends of exchanges too; each costs a call at every exchange.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty $(, $phase:ident)*) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        fn main() {
            const PHASES: &[&str] = &[$(stringify!($phase)),*];
            $crate::proxy::start::<$plugin, { !PHASES.is_empty() }>();
        }

        $( $crate::plugin_phase!($phase); )*

        /// The module is for Wasm; elsewhere there is nothing to run.
        #[cfg(not(all(target_arch = "wasm32", target_os = "wasi")))]
        fn main() {}
    };
}

/// A callback that only some filters want.
#[doc(hidden)]
#[macro_export]
macro_rules! plugin_phase {
    (response) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        #[allow(unsafe_code, reason = "a callback of the ABI")]
        mod response {
            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_response_headers(stream: u32, _: usize, _: u32) -> u32 {
                $crate::proxy::on_response(stream)
            }
        }
    };
    (log) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        #[allow(unsafe_code, reason = "a callback of the ABI")]
        mod log {
            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_log(stream: u32) {
                $crate::proxy::on_log(stream);
            }
        }
    };
}
