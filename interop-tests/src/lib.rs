//! spmsg against foreign implementations of the Scalability Protocols.
//!
//! Every party is a separate process (two libraries that both export `nn_*` cannot share one) and obeys the
//! same script language on its stdin and stdout, see `peers/LANGUAGE.md`. Read in this order:
//!
//! - [`peer`]: which programs there are, and how they are built,
//! - [`puppet`]: one running program: tell it a command, hear its answer,
//! - [`place`]: addresses that nobody else uses,
//! - [`pattern`]: the patterns and what each lets through,
//! - [`setting`]: who does what in a cell,
//! - [`talk`]: conversations that check content, count and order,
//! - [`recorded`]: conversations byte for byte, recorded and played back,
//! - [`crowd`]: three peers at once around one socket,
//! - [`arbiter`]: whose fault it is that a connector does not come back,
//! - [`cell`]: cells of the matrix, run side by side, and the table they make,
//! - [`report`]: what became of the cells, kept for `docs/interop.md`.

pub mod arbiter;
pub mod cell;
pub mod crowd;
pub mod pattern;
pub mod peer;
pub mod place;
pub mod puppet;
pub mod recorded;
pub mod report;
pub mod setting;
pub mod suite;
pub mod talk;

/// What went wrong, in words; a test prints it beside both sides' transcripts.
pub type Trouble = String;
