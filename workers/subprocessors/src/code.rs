//! `AppsFlyer`'s own error codes: why it answered 400, or what was wrong with one of several requests.
//! <https://dev.appsflyer.com/hc/reference/create-batch-opendsr-requests>

use crate::reply::{Created, refused, transient};
use erasure_protocol::FaultCode;
use serde::Deserialize;

/// What a code means for us. A code that we do not know is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It has this id already.
    Exists,
    /// It does not know this id.
    NotFound,
    /// Another request about the same identity is open, or is part of the same call.
    Busy,
    /// There are too many in one call, or the same id twice.
    Group,
    /// The call as such is refused, whomever it is about.
    Call,
    /// This request is refused.
    Request,
    /// It has a problem of its own.
    Internal,
}

impl Code {
    fn read(text: &str) -> Option<Self> {
        match text {
            "e213" => Some(Self::Exists),
            "e214" => Some(Self::NotFound),
            "e215" | "e416" => Some(Self::Busy),
            "e414" | "e415" => Some(Self::Group),
            "e311" | "e312" | "e317" | "e326" | "e411" | "e412" | "e413" => Some(Self::Call),
            "e211" | "e212" | "e313" | "e314" | "e315" | "e316" | "e318" | "e319" | "e321" | "e322" | "e323" | "e324"
            | "e325" | "e417" => Some(Self::Request),
            "e511" => Some(Self::Internal),
            _ => None,
        }
    }

    /// What it says of one new request.
    pub(crate) fn created(self, vendor: &str) -> Created {
        match self {
            Self::Exists | Self::NotFound => Created::PerhapsKnown,
            // What is in the way ends one day; then the same request is taken.
            Self::Busy | Self::Group => Created::Fault(transient(vendor, FaultCode::VendorRefused)),
            Self::Call | Self::Request => Created::Fault(refused(vendor)),
            Self::Internal => Created::Fault(transient(vendor, FaultCode::VendorError)),
        }
    }
}

/// An error, alone or as the only part of an answer.
#[derive(Deserialize)]
pub(crate) struct ErrorBody {
    af_gdpr_code: Option<String>,
    error: Option<Box<ErrorBody>>,
}

impl ErrorBody {
    pub(crate) fn code(&self) -> Option<Code> {
        let inner = self.error.as_deref().and_then(Self::code);
        inner.or_else(|| self.af_gdpr_code.as_deref().and_then(Code::read))
    }
}

/// The code in an answer, if it is one of those that we know.
pub(crate) fn coded(body: &[u8]) -> Option<Code> {
    serde_json::from_slice::<ErrorBody>(body).ok()?.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_either_place_and_an_unknown_one_is_none() {
        assert_eq!(coded(br#"{"code":400,"af_gdpr_code":"e414"}"#), Some(Code::Group));
        assert_eq!(coded(br#"{"error":{"code":400,"af_gdpr_code":"e213"}}"#), Some(Code::Exists));
        for none in [
            &b"{\"error\":{\"af_gdpr_code\":\"e999\"}}"[..],
            b"{\"error\":{\"code\":400}}",
            b"",
            b"<html>",
        ] {
            assert_eq!(coded(none), None);
        }
    }
}
