//! How the fake vendor behaves.

use serde::{Deserialize, Serialize};

/// How the vendor behaves from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mode {
    /// What it does at the first, second, … `POST`; the last one stays. Nothing: it serves.
    pub create: Vec<Act>,
    /// What it does at the first, second, … `GET`; the last one stays. Nothing: it serves.
    pub poll: Vec<Act>,
    /// So many polls of a request are answered `in_progress` before one is answered `completed`.
    pub polls_before_done: u32,
    /// It promises to be done after so many milliseconds.
    pub expected_in_ms: i64,
    /// What it answers to an id that it has already: 201 as the first time, or an error.
    pub duplicate_status: u16,
    /// The `authorization` header that it asks for.
    pub authorization: Option<String>,
    /// So many people one call may be about, where the dialect has such calls.
    pub people_per_call: usize,
    /// So many calls it allows in so many milliseconds; the others are answered 429. No end of them unless told.
    pub calls_allowed: Option<(usize, u64)>,
    /// Whom it refuses, where it speaks of many in one call: by an identity, with this code.
    pub refuses: Vec<(String, String)>,
    /// Of whom it says nothing, where it speaks of many in one answer: by an identity.
    pub leaves_out: Vec<String>,
}

impl Default for Mode {
    fn default() -> Self {
        Self::ok(0)
    }
}

/// One way to answer one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// As it should.
    Serve,
    /// With this HTTP status and nothing else.
    Status {
        /// Which.
        status: u16,
        /// The `Retry-After` header, as it is.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// With a success whose body breaks off.
    Malformed,
    /// With a success whose body never seems to end.
    Huge,
    /// With a success that speaks of somebody else's request.
    OtherId,
    /// With this `request_status`.
    Says {
        /// The word.
        status: String,
    },
    /// It takes the request, keeps it, and answers with this HTTP status as if it had not.
    KeepAndFail {
        /// Which.
        status: u16,
    },
    /// With this HTTP status, and what it was sent in the body and in a header, as an indiscreet vendor may.
    Echo {
        /// Which.
        status: u16,
    },
    /// As it should, but late.
    Slow {
        /// How late.
        ms: u64,
    },
    /// With a redirect to its own base.
    Redirect,
}

impl Mode {
    /// Serves; each request is `completed` after so many polls that say `in_progress`.
    #[must_use]
    pub fn ok(polls_before_done: u32) -> Self {
        Self {
            create: Vec::new(),
            poll: Vec::new(),
            polls_before_done,
            expected_in_ms: 60_000,
            duplicate_status: 400,
            authorization: None,
            people_per_call: 50,
            calls_allowed: None,
            refuses: Vec::new(),
            leaves_out: Vec::new(),
        }
    }

    /// Answers every call with this HTTP status.
    #[must_use]
    pub fn failing(status: u16) -> Self {
        let act = Act::Status {
            status,
            retry_after: None,
        };
        Self::doing(std::slice::from_ref(&act), std::slice::from_ref(&act))
    }

    /// Answers every call with 429 and this `Retry-After`.
    #[must_use]
    pub fn throttled(retry_after: &str) -> Self {
        let act = Act::Status {
            status: 429,
            retry_after: Some(retry_after.to_owned()),
        };
        Self::doing(std::slice::from_ref(&act), std::slice::from_ref(&act))
    }

    /// Accepts, and says `in_progress` for ever.
    #[must_use]
    pub fn never() -> Self {
        Self::ok(u32::MAX)
    }

    /// Does not know the address of requests.
    #[must_use]
    pub fn no_such_address() -> Self {
        Self::doing(
            &[Act::Status {
                status: 404,
                retry_after: None,
            }],
            &[],
        )
    }

    /// Accepts, and forgets.
    #[must_use]
    pub fn forgetful() -> Self {
        Self::doing(
            &[],
            &[Act::Status {
                status: 404,
                retry_after: None,
            }],
        )
    }

    /// Answers every call with half a JSON document.
    #[must_use]
    pub fn malformed() -> Self {
        Self::doing(&[Act::Malformed], &[Act::Malformed])
    }

    /// Answers late.
    #[must_use]
    pub fn slow(ms: u64) -> Self {
        Self::doing(&[Act::Slow { ms }], &[Act::Slow { ms }])
    }

    /// These acts at each `POST` and at each `GET`.
    #[must_use]
    pub fn doing(create: &[Act], poll: &[Act]) -> Self {
        Self {
            create: create.to_vec(),
            poll: poll.to_vec(),
            ..Self::ok(0)
        }
    }
}

impl Act {
    /// What is done at the first, second, … call; the last one stays.
    pub(super) fn at(acts: &[Self], call: u64) -> Self {
        let at = usize::try_from(call - 1)
            .unwrap_or(usize::MAX)
            .min(acts.len().saturating_sub(1));
        acts.get(at).cloned().unwrap_or(Self::Serve)
    }
}
