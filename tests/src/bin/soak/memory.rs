//! Whether memory is flat.
//!
//! 1. The first third of the run is not judged: caches fill, code is compiled.
//! 2. The slope is the median of the slopes between all pairs of samples (Theil-Sen), which a few odd
//!    samples do not move, and a leak does.
//! 3. Flat is a slope of at most [`BOUND`] an hour, or of at most [`NOISE`] over all that was judged. At a
//!    hundred requests a second the bound is twelve bytes a request.

use std::time::Duration;

/// The steepest slope that is flat, in bytes an hour.
pub(crate) const BOUND: f64 = 4.0 * MIB;
/// What a short run may have grown, in bytes.
pub(crate) const NOISE: f64 = 0.5 * MIB;
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// What an Envoy had at a moment, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// Resident, as the system says: the memory of the VMs is in it.
    pub(crate) resident: u64,
    /// Allocated, as Envoy says: without the VMs' own.
    pub(crate) allocated: u64,
    /// VMs.
    pub(crate) machines: u64,
}

/// How a kind of memory went.
pub(crate) struct Course {
    pub(crate) first: f64,
    pub(crate) last: f64,
    pub(crate) most: f64,
    /// Bytes an hour.
    pub(crate) slope: f64,
    pub(crate) is_flat: bool,
}

/// The course of a kind of memory, of the samples that are judged.
pub(crate) fn course(
    samples: &[Sample],
    length: Duration,
    of: impl Fn(&Sample) -> u64,
) -> Option<Course> {
    let judged = samples.iter().filter(|sample| sample.at >= length / 3);
    let points: Vec<_> =
        judged.map(|sample| (sample.at.as_secs_f64() / 3600.0, of(sample) as f64)).collect();
    let (first, last) = (points.first()?, points.last()?);
    let slope = slope(&points)?;
    let grown = slope * (last.0 - first.0);
    Some(Course {
        first: first.1,
        last: last.1,
        most: points.iter().map(|point| point.1).fold(0.0, f64::max),
        slope,
        is_flat: slope <= BOUND || grown <= NOISE,
    })
}

fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate();
    let mut slopes: Vec<_> = pairs
        .flat_map(|(at, one)| {
            points[at + 1..].iter().map(|other| (other.1 - one.1) / (other.0 - one.0))
        })
        .collect();
    slopes.sort_unstable_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half an hour of samples, each five seconds.
    fn half_an_hour(bytes: impl Fn(f64, usize) -> f64) -> Option<Course> {
        let samples: Vec<_> = (0..360_usize)
            .map(|number| {
                let at = Duration::from_secs(5 * number as u64);
                let resident = (100.0 * MIB + bytes(at.as_secs_f64() / 3600.0, number)) as u64;
                Sample { at, resident, allocated: 0, machines: 0 }
            })
            .collect();
        course(&samples, Duration::from_secs(1800), |sample| sample.resident)
    }

    #[test]
    fn noise_and_a_warm_up_are_flat() {
        let rough = |hours: f64, number: usize| {
            let warm = (hours * 12.0).min(1.0) * 30.0;
            (warm + [0.0, 3.0, -2.0, 1.0, 40.0][number % 5]) * MIB
        };
        assert!(half_an_hour(rough).is_some_and(|course| course.is_flat));
    }

    #[test]
    fn sixteen_bytes_a_request_are_not() {
        // A hundred requests a second.
        let leak = |hours: f64, number: usize| {
            hours * 3600.0 * 100.0 * 16.0 + [0.0, 0.5, -0.5][number % 3] * MIB
        };
        assert!(half_an_hour(leak).is_some_and(|course| !course.is_flat));
    }
}
