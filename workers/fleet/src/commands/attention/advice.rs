//! What a code means and what to do about it.

use erasure_protocol::{CommandCode, FaultCode};

/// Meaning and advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) meaning: &'static str,
    pub(crate) advice: &'static str,
}

/// For any code of the fleet; a code of another release is told as such.
pub(crate) fn advice(code: &str) -> Advice {
    let of_command = || {
        let code = CommandCode::ALL.iter().find(|it| it.as_str() == code)?;
        Some(Advice {
            meaning: code.meaning(),
            advice: code.advice(),
        })
    };
    let of_task = || {
        fault(code).map(|code| Advice {
            meaning: code.meaning(),
            advice: code.advice(),
        })
    };
    of_command().or_else(of_task).unwrap_or(UNKNOWN)
}

/// What is said of a code of another release.
const UNKNOWN: Advice = Advice {
    meaning: "a code that this release does not know",
    advice: "Look with the release that wrote it.",
};

/// The fault of this code.
pub(super) fn fault(code: &str) -> Option<FaultCode> {
    FaultCode::ALL.iter().copied().find(|it| it.as_str() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_advice() {
        let codes = FaultCode::ALL
            .iter()
            .map(|it| it.as_str())
            .chain(CommandCode::ALL.iter().map(|it| it.as_str()));
        for code in codes {
            assert_ne!(advice(code), UNKNOWN, "{code}");
        }
        assert_eq!(advice("STORE-999"), UNKNOWN);
    }
}
