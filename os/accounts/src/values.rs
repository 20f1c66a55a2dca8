//! The values of accounts.

/// A user to add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUser {
    /// The name.
    pub name: String,
    /// The user ID; the default is the next free one.
    pub uid: Option<u32>,
    /// The primary group, by name or ID; the default is a new group with the user's name.
    pub group: Option<String>,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// The home folder; the default is `/home/NAME`.
    pub home: Option<String>,
    /// Whether no home folder is created.
    pub no_home: bool,
    /// Whether no group with the user's name is created; the primary group is then `users` (100).
    pub no_user_group: bool,
    /// The login shell.
    pub shell: Option<String>,
    /// The full name, or a comment.
    pub comment: String,
    /// The hash of the password (crypt(5)). Without it, login by password is disabled.
    pub password: Option<String>,
    /// Whether this is a system account.
    pub system: bool,
}

/// Changes to a user. `None` leaves a value unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The primary group, by name or ID.
    pub group: Option<String>,
    /// Supplementary groups.
    pub groups: Option<Vec<String>>,
    /// Whether `groups` are added to the existing ones; otherwise they replace them.
    pub append: bool,
    /// The home folder. Files in the old one are not moved.
    pub home: Option<String>,
    /// The login shell.
    pub shell: Option<String>,
    /// The full name, or a comment.
    pub comment: Option<String>,
    /// The hash of the password.
    pub password: Option<String>,
    /// `true` locks the password, `false` unlocks it.
    pub lock: Option<bool>,
}
