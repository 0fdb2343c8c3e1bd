//! The module: see the library.
shared::plugin!(oauth2_login::OAuth2Login, wait, call, response);
