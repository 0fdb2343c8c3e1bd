//! The module of `api-key-auth`.
shared::plugin!(api_key_auth::ApiKeyAuth);
