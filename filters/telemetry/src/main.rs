//! The module of `telemetry`.
shared::plugin!(telemetry::Telemetry, wait, response, log, bodies);
