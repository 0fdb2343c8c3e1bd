//! How a filter becomes a module.

/// Makes a module out of a filter: the whole of its `main.rs`.
///
/// `plugin!(Filter)` is told of requests. `plugin!(Filter, wait, response, log)` holds the bodies of
/// requests that wait for a call (or reads them), and is told of responses and of the ends of exchanges too; each
/// costs a call at every exchange. A filter that waits has to say `wait`. One that looks at bodies
/// as they pass by says `wait` for those of requests, and `bodies`. One that makes calls, in the
/// background or for a request that waits, says `call`: it is told of no answer otherwise.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty $(, $phase:ident)*) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        fn main() {
            const PHASES: $crate::runner::Phases = $crate::runner::Phases::REQUEST $(.$phase())*;
            const KIND: $crate::runner::Kind = $crate::runner::Kind::of::<$plugin>(PHASES);
            $crate::proxy::start($crate::proxy::Module {
                name: KIND.name(),
                configure: |_, bytes, environment, birth| KIND.read(bytes, environment, birth),
            });
        }

        $crate::plugin_phases!($($phase),*);
    };
}

/// Makes one module out of a list of kinds of filter, of which each plugin is one, or runs several
/// ([`bundle`](mod@crate::bundle)). What one of them is told of, the module has to be told of:
/// `bundle!(KINDS, wait, response, log)`.
#[macro_export]
macro_rules! bundle {
    ($kinds:expr $(, $phase:ident)*) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        fn main() {
            $crate::proxy::start($crate::proxy::Module {
                name: "bundle",
                configure: |root_id, bytes, environment, birth| {
                    $crate::bundle::configure($kinds, root_id, bytes, environment, birth)
                },
            });
        }

        $crate::plugin_phases!($($phase),*);
    };
}

/// The callbacks that only some modules want.
#[doc(hidden)]
#[macro_export]
macro_rules! plugin_phases {
    ($($phase:ident),*) => {
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
    (wait) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        #[allow(unsafe_code, reason = "callbacks of the ABI")]
        mod wait {
            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_request_body(stream: u32, len: usize, end: u32) -> u32 {
                $crate::proxy::on_request_body(stream, len, end != 0)
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_request_trailers(stream: u32, _: usize) -> u32 {
                $crate::proxy::on_request_trailers(stream)
            }
        }
    };
    (call) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        #[allow(unsafe_code, reason = "a callback of the ABI")]
        mod call {
            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_http_call_response(
                _context: u32,
                token: u32,
                headers: usize,
                body: usize,
                trailers: usize,
            ) {
                $crate::proxy::on_answer(token, headers, body, trailers);
            }
        }
    };
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
    (bodies) => {
        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        #[allow(unsafe_code, reason = "a callback of the ABI")]
        mod bodies {
            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_response_body(stream: u32, len: usize, end: u32) -> u32 {
                $crate::proxy::on_response_body(stream, len, end != 0)
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
