//! nn_get_statistic.

use std::ffi::c_int;

use spmsg::Statistics;

use crate::errno::Errno;
use crate::guard::guard;
use crate::symbol::*;
use crate::table;

/// The counter `stat` (NN_STAT_*) of a socket.
///
/// On failure all ones. NN_STAT_CURRENT_SND_PRIORITY is all ones, without an error, when no peer can take a
/// message. Errors: EBADF, EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn nn_get_statistic(s: c_int, stat: c_int) -> u64 {
    guard(|| counter(&table::find(s)?.socket.statistics()?, stat).ok_or(Errno(libc::EINVAL)))
}

fn counter(statistics: &Statistics, stat: c_int) -> Option<u64> {
    Some(match stat {
        NN_STAT_ESTABLISHED_CONNECTIONS => statistics.established_connections,
        NN_STAT_ACCEPTED_CONNECTIONS => statistics.accepted_connections,
        NN_STAT_DROPPED_CONNECTIONS => statistics.dropped_connections,
        NN_STAT_BROKEN_CONNECTIONS => statistics.broken_connections,
        NN_STAT_CONNECT_ERRORS => statistics.connect_errors,
        NN_STAT_BIND_ERRORS => statistics.bind_errors,
        NN_STAT_ACCEPT_ERRORS => statistics.accept_errors,
        NN_STAT_CURRENT_CONNECTIONS => statistics.current_connections,
        NN_STAT_INPROGRESS_CONNECTIONS => statistics.in_progress_connections,
        NN_STAT_CURRENT_EP_ERRORS => statistics.current_endpoint_errors,
        NN_STAT_MESSAGES_SENT => statistics.messages_sent,
        NN_STAT_MESSAGES_RECEIVED => statistics.messages_received,
        NN_STAT_BYTES_SENT => statistics.bytes_sent,
        NN_STAT_BYTES_RECEIVED => statistics.bytes_received,
        NN_STAT_CURRENT_SND_PRIORITY => statistics.current_send_priority.cast_unsigned(),
        _ => return None,
    })
}
