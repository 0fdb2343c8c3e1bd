//! The module of `ask`.
shared::plugin!(ask::Ask, wait, call, response, log);
