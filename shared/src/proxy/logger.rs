//! The `log` facade over the proxy's log, at the proxy's level.

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::imports;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Where a line about a failure fails, there is nobody left to tell.
            let _ = imports::log(number(record.level()), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Sends the lines of `log` to the proxy.
pub(super) fn install() {
    // It can only have been installed before, by us.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Takes over the level that the proxy has now. A proxy without one gets `info` and above.
pub(super) fn follow_level() {
    log::set_max_level(match imports::log_level() {
        Ok(0) => LevelFilter::Trace,
        Ok(1) => LevelFilter::Debug,
        Ok(2) | Err(_) => LevelFilter::Info,
        Ok(3) => LevelFilter::Warn,
        Ok(4) => LevelFilter::Error,
        Ok(_) => LevelFilter::Off,
    });
}

const fn number(level: Level) -> u32 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}
