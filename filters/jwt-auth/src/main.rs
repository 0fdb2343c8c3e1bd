//! The module: see the library.
shared::plugin!(jwt_auth::JwtAuth, wait, call);
