//! On whose authority rows are read. There is one implementation of each query; it takes either of these.

use domain::{
    Permitted,
    grant::Grant,
    id::{UserId, WorkspaceId},
    operation::Operation,
};

/// The authority of a query.
#[derive(Debug)]
pub enum Access<'a, O: Operation<Ground = Grant>> {
    /// A remote caller's permit: the subject's rights, intersected with the scope, each row checked twice.
    Granted(&'a Permitted<O>),
    /// A local user's own rights in one workspace.
    Native {
        /// Where.
        workspace: WorkspaceId,
        /// Who.
        user: UserId,
        /// What is asked. Page tokens are bound to the user's id.
        operation: &'a O,
    },
}

impl<'a, O: Operation<Ground = Grant>> Access<'a, O> {
    /// The workspace whose rows are read.
    pub fn workspace(&self) -> WorkspaceId {
        match self {
            Self::Granted(permit) => permit.grant().workspace,
            Self::Native { workspace, .. } => *workspace,
        }
    }

    /// The user whose native rights apply.
    pub fn user(&self) -> UserId {
        match self {
            Self::Granted(permit) => permit.grant().subject,
            Self::Native { user, .. } => *user,
        }
    }

    /// What is asked.
    pub fn operation(&self) -> &'a O {
        match self {
            Self::Granted(permit) => permit.operation(),
            Self::Native { operation, .. } => operation,
        }
    }
}
