//! The module of `access-policy`.
shared::plugin!(access_policy::AccessPolicy);
