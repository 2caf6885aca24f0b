//! A small mutator for the run that needs no instrumented build: it changes and splices seeds.

/// Words that open doors in the readers.
const WORDS: [&str; 24] = [
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e400",
    "18446744073709551616",
    "{}",
    "[]",
    "[[[[[[[[",
    "\n",
    "\r\n",
    "\n\n",
    ",",
    "\"\"",
    "\u{feff}",
    "\0",
    "version",
    "subjects",
    "user_id",
    "preserveEmptyAccount",
    "9999-12-31T23:59:60Z",
    "4294967295",
];

/// Makes inputs out of others. The same seed makes the same inputs.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
    length_max: usize,
}

impl Mutator {
    /// One that begins with this seed and makes nothing longer than `length_max` bytes.
    #[must_use]
    pub fn new(seed: u64, length_max: usize) -> Self {
        Self {
            state: seed | 1,
            length_max,
        }
    }

    /// An input made of one of these.
    pub fn next(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut data = self.one_of(inputs).clone();
        for _ in 0..=self.below(6) {
            self.change(&mut data, inputs);
        }
        data.truncate(self.length_max);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        let end = (at + self.below(32)).min(data.len());
        match self.below(7) {
            0 => drop(data.drain(at..end)),
            1 => drop(data.splice(at..at, WORDS[self.below(WORDS.len())].bytes())),
            2 => drop(data.splice(at..end, WORDS[self.below(WORDS.len())].bytes())),
            3 => {
                let repeated = data[at..end].repeat(1 + self.below(8));
                drop(data.splice(at..at, repeated));
            }
            4 => {
                let other = self.one_of(inputs).clone();
                let from = self.below(other.len() + 1);
                let to = (from + self.below(200)).min(other.len());
                drop(data.splice(at..end, other[from..to].iter().copied()));
            }
            5 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = u8::try_from(self.below(256)).unwrap_or(0);
                }
            }
        }
    }

    fn one_of<'a>(&mut self, inputs: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &inputs[self.below(inputs.len())]
    }

    /// xorshift64*: enough to choose by.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0) % bound.max(1)
    }
}
