//! The one configuration document.
