//! The module of `trap`.
shared::bundle!(trap::FILTERS, wait, call, response);
