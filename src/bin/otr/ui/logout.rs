//! What is said where a session does not outlive the login.

/// What ends, and what keeps it.
pub(crate) const LOGOUT: &str = "this session ends 10 s after your last logout; 'loginctl enable-linger' \
                                 keeps it";
