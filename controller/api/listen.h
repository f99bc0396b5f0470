/* One address of the setting `listen`: read, opened, and taken down. IO layer. */
#ifndef WB_API_LISTEN_H
#define WB_API_LISTEN_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* All strings are owned. */
struct listen_address {
	char *text; /* as it was given */
	char *unix_path; /* NULL: TCP */
	char *host, *port; /* host is "" for every address */
};

/* Reads "ADDR:PORT", ":PORT", "[V6]:PORT" or "unix:/PATH". Pure. */
int listen_parse(struct listen_address *out, const char *text, struct err *e);
void listen_address_deinit(struct listen_address *a);

/* File mode of a unix socket, in octal. Pure. */
int listen_parse_mode(const char *text, mode_t *out, struct err *e);

struct listen_socket {
	int fd;
	bool is_loopback; /* nobody reaches it from elsewhere */
	dev_t dev; /* with `ino`: which file a unix socket has */
	ino_t ino;
};

/* A socket that listens and does not block. A socket file that nobody listens on any more is replaced, any other file is an
 * error. */
int listen_open(const struct listen_address *a, mode_t mode, struct listen_socket *out, struct err *e);
/* Takes the file of a unix socket away, unless it is another one by now. Does not close the descriptor. */
void listen_remove(const struct listen_address *a, const struct listen_socket *s);

#endif
