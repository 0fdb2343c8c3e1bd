//! The module of `basic-auth`.
shared::plugin!(basic_auth::BasicAuth);
