//! The module of `ask`.
shared::plugin!(ask::Ask, wait, response, log);
