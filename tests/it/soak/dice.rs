//! A seeded source of chance: the same seed throws the same numbers, on every machine.

/// `SplitMix64`: small, and good enough to choose whom to kill.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most.saturating_sub(least)) + 1;
        let thrown = u32::try_from(self.throw() % span).expect("below a span of 32 bits, but for one case that nobody asks for");
        least + thrown
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        let last = u32::try_from(of.len() - 1).expect("short lists only");
        of[self.between(0, last) as usize]
    }

    /// Puts a list into an order of chance.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let at_u32 = u32::try_from(at).expect("short lists only");
            list.swap(at, self.between(0, at_u32) as usize);
        }
    }
}
