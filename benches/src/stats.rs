//! Many readings as two numbers.

/// What is shown of many readings of one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many readings.
    pub n: usize,
    /// Half of them are at most this.
    pub p50: f64,
    /// All but one in a hundred are at most this; the largest below a hundred.
    pub p99: f64,
}

/// Readings of one thing.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// One more.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The summary; zeros without a reading.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Summary {
            n: sorted.len(),
            p50: at(&sorted, 50),
            p99: at(&sorted, 99),
        }
    }

    /// The middle one.
    #[must_use]
    pub fn p50(&self) -> f64 {
        self.summary().p50
    }
}

/// The nearest rank.
fn at(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_readings() {
        let mut samples = Samples::default();
        (1..=200)
            .rev()
            .for_each(|value| samples.add(f64::from(value)));
        assert_eq!(
            samples.summary(),
            Summary {
                n: 200,
                p50: 100.0,
                p99: 198.0
            }
        );
        assert_eq!(
            Samples::default().summary(),
            Summary {
                n: 0,
                p50: 0.0,
                p99: 0.0
            }
        );
    }
}
