//! The module of `ask`.
shared::plugin!(ask::Ask, response, log);
