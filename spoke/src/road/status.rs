//! The one place where refusals become gRPC statuses.

use axum::response::Response;
use domain::{Reason, Refusal};
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The status code of each reason.
pub const fn code(reason: Reason) -> Code {
    match reason {
        Reason::NotPermitted | Reason::OutOfScope => Code::PermissionDenied,
        Reason::NotFound | Reason::InviteUnknown => Code::NotFound,
        Reason::GrantRate | Reason::PeerRate => Code::ResourceExhausted,
        Reason::Malformed | Reason::BadPageToken => Code::InvalidArgument,
        Reason::UnknownMethod => Code::Unimplemented,
        Reason::AuditUnavailable | Reason::StoreUnavailable | Reason::SnapshotStale => Code::Unavailable,
        Reason::InviteSpent | Reason::Version => Code::FailedPrecondition,
        Reason::SecondCheck => Code::Internal,
    }
}

/// What the other side is told: code, public text, reason code, and where they help the time to wait and the bad fields.
pub fn status(refusal: &Refusal) -> Status {
    let mut details = ErrorDetails::with_error_info(refusal.reason().code(), proto::PACKAGE, HashMap::new());
    if let Some(wait) = refusal.retry() {
        details.set_retry_info(Some(wait));
    }
    if !refusal.violations().is_empty() {
        let field = |bad: &domain::refusal::Violation| FieldViolation::new(bad.field, bad.description.clone());
        details.set_bad_request(refusal.violations().iter().map(field).collect::<Vec<_>>());
    }
    Status::with_error_details(code(refusal.reason()), refusal.public_text(), details)
}

/// The same as a whole response, for layers.
pub fn response(refusal: &Refusal) -> Response {
    status(refusal).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reaches_the_wire_with_its_code_and_without_its_detail() {
        for reason in Reason::ALL {
            let status = status(&Refusal::new(reason).because("SECRET-DETAIL"));
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.code(), proto::PACKAGE));
            assert!(!format!("{status:?}").contains("SECRET-DETAIL"), "{reason}");
            assert_ne!(status.code(), Code::Ok);
        }
    }
}
