//! The weather of a double: how long each of its calls takes, and whether question or answer is lost on the way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What happens to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blow {
    /// How long the question travels.
    pub before: Duration,
    /// How long the answer travels.
    pub after: Duration,
    /// What does not arrive.
    pub lost: Option<Lost>,
}

/// What of a call did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The question: nothing has happened.
    Question,
    /// The answer: it has happened, and the caller cannot know.
    Answer,
}

/// Decides over every call of the doubles. Cheap to clone.
#[derive(Clone)]
pub struct Weather(Arc<dyn Fn(&'static str) -> Blow + Send + Sync>);

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weather")
    }
}

impl Default for Weather {
    /// Every call succeeds, at once.
    fn default() -> Self {
        Self::new(|_| Blow::default())
    }
}

impl Weather {
    /// Weather by a rule: from the name of a call, such as `tracker.mark`, to what happens to it.
    pub fn new(rule: impl Fn(&'static str) -> Blow + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    /// One call of a double: the way there, what it does, and the way back. The effect happens in one piece. A caller that is dropped
    /// on the way has died there: before the effect, or after it.
    ///
    /// # Errors
    /// When question or answer is lost.
    pub async fn around<T>(&self, call: &'static str, effect: impl FnOnce() -> T) -> Result<T, Lost> {
        let blow = (self.0)(call);
        travel(blow.before).await;
        if blow.lost == Some(Lost::Question) {
            return Err(Lost::Question);
        }
        let answer = effect();
        travel(blow.after).await;
        match blow.lost {
            Some(lost) => Err(lost),
            None => Ok(answer),
        }
    }
}

async fn travel(time: Duration) {
    if time > Duration::ZERO {
        tokio::time::sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lost_question_changes_nothing_and_a_lost_answer_hides_what_has_happened() {
        for (lost, happened) in [(Lost::Question, 0), (Lost::Answer, 1)] {
            let weather = Weather::new(move |_| Blow {
                lost: Some(lost),
                ..Blow::default()
            });
            let mut count = 0;
            assert_eq!(weather.around("store.perform", || count += 1).await, Err(lost));
            assert_eq!(count, happened);
        }
        let mut count = 0;
        assert_eq!(Weather::default().around("store.perform", || count += 1).await, Ok(()));
        assert_eq!(count, 1);
    }
}
