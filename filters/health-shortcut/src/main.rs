//! The module of `health-shortcut`.
shared::plugin!(health_shortcut::HealthShortcut, wait, call);
