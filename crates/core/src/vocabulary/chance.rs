//! Dice, as an argument: a function that decides by chance says so in its signature.

/// A source of chance.
pub trait Dice {
    /// Even over 0..2^64.
    fn roll(&mut self) -> u64;

    /// Even over 0.0..1.0.
    fn fraction(&mut self) -> f64 {
        // 53 bits: as many as an f64 holds exactly.
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl<F: FnMut() -> u64> Dice for F {
    fn roll(&mut self) -> u64 {
        self()
    }
}

/// Repeatable dice (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct SeededDice(u64);

impl SeededDice {
    /// From `seed`: equal seeds fall alike.
    pub fn new(seed: u64) -> SeededDice {
        SeededDice(seed)
    }

    /// The seed of dice that go on as these do.
    pub fn state(&self) -> u64 {
        self.0
    }
}

impl Dice for SeededDice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_rolls_the_same_and_fractions_stay_below_one() {
        let (mut one, mut other) = (SeededDice::new(7), SeededDice::new(7));
        let mut sum = 0.0;
        for _ in 0..1000 {
            let fraction = one.fraction();
            assert!((0.0..1.0).contains(&fraction));
            assert_eq!(fraction.to_bits(), other.fraction().to_bits());
            sum += fraction;
        }
        assert!((400.0..600.0).contains(&sum));
    }
}
