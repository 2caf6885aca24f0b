//! Messages on their way: as many of a kind as there are, in no order.

/// At most `N` messages. Sorted, so that two bags with the same messages are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bag<T, const N: usize> {
    messages: [T; N],
    len: u8,
}

impl<T: Copy + Default, const N: usize> Default for Bag<T, N> {
    fn default() -> Self {
        Self {
            messages: [T::default(); N],
            len: 0,
        }
    }
}

impl<T: Copy + Default + Ord, const N: usize> Bag<T, N> {
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.messages[..usize::from(self.len)]
    }

    /// Whether there is room for as many as one step may add.
    pub(crate) fn has_room(&self) -> bool {
        usize::from(self.len) < N
    }

    pub(crate) fn put(&mut self, message: T) {
        assert!(self.has_room(), "the bounds of a scenario keep the broker below {N} messages");
        let at = self.as_slice().partition_point(|it| *it <= message);
        self.messages.copy_within(at..usize::from(self.len), at + 1);
        self.messages[at] = message;
        self.len += 1;
    }

    pub(crate) fn take(&mut self, at: usize) -> T {
        let message = self.messages[at];
        self.messages.copy_within(at + 1..usize::from(self.len), at);
        self.len -= 1;
        self.messages[usize::from(self.len)] = T::default();
        message
    }

    /// Changes every message, and sorts them again.
    pub(crate) fn each(&mut self, change: impl Fn(&mut T)) {
        let len = usize::from(self.len);
        self.messages[..len].iter_mut().for_each(change);
        self.messages[..len].sort_unstable();
    }
}
