//! The module `gatehouse.wasm`: see the library.
shared::bundle!(bundle::FILTERS, wait, call, response, log, bodies);
