/* TLS as the server speaks it: a certificate to show and authorities to judge clients by, over GnuTLS as libmicrohttpd uses it.
 * IO layer. */
#ifndef WB_API_TLS_H
#define WB_API_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* gnutls_session_t, so that whoever only passes it on needs no GnuTLS. */
struct gnutls_session_int;

/* Immutable and counted: a connection keeps the one that it shows. */
struct tls_identity;

/* From PEM texts; `client_ca` may be NULL. NULL with `e` when they are not usable or do not belong together; says nothing of what
 * is in them. */
struct tls_identity *tls_identity_new(const char *cert, const char *key, const char *client_ca, struct err *e);
struct tls_identity *tls_identity_ref(struct tls_identity *t);
/* NULL is allowed. */
void tls_identity_unref(struct tls_identity *t);

/* The session shows this identity and judges by its authorities; borrowed for as long as the session does. */
void tls_identity_show(struct tls_identity *t, struct gnutls_session_int *session);

/* How a session reads and writes its socket: as it would by itself, and counting. */
struct tls_wire {
	int fd;
	uint64_t *n_moved; /* bytes in either direction are added here */
	bool held; /* whoever reads finds nothing */
};
/* `w` is borrowed for as long as the session is used. */
void tls_wire_attach(struct tls_wire *w, struct gnutls_session_int *session);

/* As recv and send do on a socket that does not block: -1 with errno, EAGAIN where nothing moves for now. What was not sent is given again. */
ssize_t tls_receive(struct gnutls_session_int *session, void *bytes, size_t n);
ssize_t tls_send(struct gnutls_session_int *session, const void *bytes, size_t n);
/* Says that nothing more will be sent. */
void tls_end(struct gnutls_session_int *session);

enum tls_peer { TLS_PEER_NONE, TLS_PEER_UNTRUSTED, TLS_PEER_TRUSTED };
/* What the client has shown, judged now by the authorities of the identity that the session has now. */
enum tls_peer tls_peer_of(struct gnutls_session_int *session);

#endif
