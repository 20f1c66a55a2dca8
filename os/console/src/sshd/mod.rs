//! The SSH server's listener: it accepts connections, rejects some, and starts dropbear for each of the
//! others.
//!
//! dropbear's own listener has limits that are compiled in (`MAX_UNAUTH_PER_IP` 5, `MAX_UNAUTH_CLIENTS`
//! 30, `AUTH_TIMEOUT` 300 s; `sysoptions.h`, `default_options.h`): five idle connections lock out everybody
//! behind the same address for five minutes, and nothing is logged. This listener has limits like
//! OpenSSH's (module `limits`) and logs rejected connections.
//!
//! Each connection gets its own dropbear, started the way that dropbear's listener executes itself again
//! for each connection (`-2 DESCRIPTOR`, `svr-main.c`, since 2022.82): the connection is its standard
//! input, and it closes the descriptor when a user has logged in. With `-i`, for inetd, the listener would
//! not learn when that happens. OpenSSH's server is no alternative: it starts two programs for each
//! connection, and with libcrypto it adds 3 MB to the image. The time to start one more program on an
//! emulated machine is partly saved by this listener, which is in memory already, unlike dropbear and its
//! libraries.

mod limits;
mod server;

pub(crate) use server::{DROPBEAR, NAME, main, program};
