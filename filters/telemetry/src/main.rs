//! The module of `telemetry`.
shared::plugin!(telemetry::Telemetry, response, log, bodies);
