//! The warning that a session does not outlive the login.

/// What ends the session, and how to prevent that.
pub(crate) const LOGOUT: &str = "this session ends 10 s after your last logout; 'loginctl enable-linger' \
                                 keeps it";
