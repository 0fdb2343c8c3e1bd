//! The module of `rate-limit`.
shared::plugin!(rate_limit::RateLimit, wait, call, response);
