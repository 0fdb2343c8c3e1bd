//! The module: see the library.
shared::plugin!(token_introspection::TokenIntrospection, wait, call);
