//! The C interface of spmsg: the functions of nanomsg's `nn.h` over the Rust library, and nothing of its own.
//!
//! # Conventions
//!
//! * **Failure.** -1, NULL or all ones, by the return type, with the reason in `errno`, which is set as the
//!   last act; success leaves `errno` alone. Output parameters are written on success only.
//! * **Pointers.** What comes in is read before the call returns and not kept, message buffers handed over
//!   excepted. NULL and nonsense get an error where C can tell them from something valid.
//! * **Ownership.** A message buffer belongs to its holder until a send with `NN_MSG` *succeeds*; every
//!   failure leaves body and control data with the caller. A received one is the caller's, to be freed with
//!   `nn_freemsg`.
//! * **Threads.** Any function may be called from any thread at any time, on the same socket too.
//! * **Processes.** After a fork the child has none of the parent's sockets, and may open its own.
//!
//! # Doors
//!
//! A call enters through `pointer` (C pointers become slices and values) and leaves through `guard` (errors
//! become `errno`, panics stop). In between there is one file for each group of functions, over the
//! numbered `table`.

mod cmsg;
mod device;
mod errno;
mod guard;
mod message;
mod option;
mod pointer;
mod poll;
mod slot;
mod socket;
mod stat;
mod symbol;
mod table;
mod term;
#[cfg(feature = "tls")]
mod tls;
mod transfer;
