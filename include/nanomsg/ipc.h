/* Messages between processes of one machine: `ipc://path`. */
#ifndef IPC_H_INCLUDED
#define IPC_H_INCLUDED

#define NN_IPC (-2)

/* Options that only Windows gives a meaning; elsewhere they are stored and read back. */
#define NN_IPC_SEC_ATTR 1
#define NN_IPC_OUTBUFSZ 2
#define NN_IPC_INBUFSZ 3

#endif
