/* TLS identities: see tls.h. */
#include "api/tls.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct tls_identity {
	unsigned n_refs;
	bool asks; /* has authorities for clients */
	gnutls_certificate_credentials_t cred;
};

static gnutls_datum_t datum(const char *text)
{
	/* GnuTLS reads it only: the member is not const for the sake of other uses. */
	return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text, .size = (unsigned)strlen(text)};
}

static int read_pem(struct tls_identity *t, const char *cert, const char *key, const char *client_ca, struct err *e)
{
	gnutls_datum_t c = datum(cert), k = datum(key), ca = datum(client_ca ? client_ca : "");
	int rc = gnutls_certificate_set_x509_key_mem2(t->cred, &c, &k, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc < 0)
		return err_set(e, ERR_INPUT, "the certificate and its key cannot be used: %s", gnutls_strerror(rc));
	if (!client_ca)
		return 0;
	t->asks = true;
	rc = gnutls_certificate_set_x509_trust_mem(t->cred, &ca, GNUTLS_X509_FMT_PEM);
	if (rc <= 0)
		return err_set(e, ERR_INPUT, "the authorities cannot be used: %s", rc ? gnutls_strerror(rc) : "there is no certificate");
	return 0;
}

struct tls_identity *tls_identity_new(const char *cert, const char *key, const char *client_ca, struct err *e)
{
	struct tls_identity *t = xcalloc(1, sizeof *t);
	t->n_refs = 1;
	if (gnutls_certificate_allocate_credentials(&t->cred) < 0)
		abort(); /* out of memory */
	if (read_pem(t, cert, key, client_ca, e) == 0)
		return t;
	tls_identity_unref(t);
	return NULL;
}

struct tls_identity *tls_identity_ref(struct tls_identity *t)
{
	t->n_refs++;
	return t;
}

void tls_identity_unref(struct tls_identity *t)
{
	if (!t || --t->n_refs)
		return;
	gnutls_certificate_free_credentials(t->cred);
	free(t);
}

/* A client without a certificate is let in: some of what there is is open, and a refusal in words beats a broken handshake. */
void tls_identity_show(struct tls_identity *t, struct gnutls_session_int *session)
{
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, t->cred);
	gnutls_certificate_server_set_request(session, t->asks ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
}

static ssize_t wire_pull(gnutls_transport_ptr_t ptr, void *bytes, size_t n)
{
	struct tls_wire *w = ptr;
	if (w->held) {
		errno = EAGAIN;
		return -1;
	}
	ssize_t got = recv(w->fd, bytes, n, 0);
	*w->n_moved += got > 0 ? (uint64_t)got : 0;
	return got;
}

static ssize_t wire_push(gnutls_transport_ptr_t ptr, const void *bytes, size_t n)
{
	struct tls_wire *w = ptr;
	ssize_t sent = send(w->fd, bytes, n, MSG_NOSIGNAL);
	*w->n_moved += sent > 0 ? (uint64_t)sent : 0;
	return sent;
}

void tls_wire_attach(struct tls_wire *w, struct gnutls_session_int *session)
{
	gnutls_transport_set_ptr(session, w);
	gnutls_transport_set_pull_function(session, wire_pull);
	gnutls_transport_set_push_function(session, wire_push);
}

static ssize_t as_socket(ssize_t rc)
{
	if (rc >= 0)
		return rc;
	errno = rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED ? EAGAIN : ECONNRESET;
	return -1;
}

ssize_t tls_receive(struct gnutls_session_int *session, void *bytes, size_t n)
{
	ssize_t rc = gnutls_record_recv(session, bytes, n);
	/* That the client would like to negotiate anew may be passed over. */
	return as_socket(rc == GNUTLS_E_REHANDSHAKE ? GNUTLS_E_AGAIN : rc);
}

ssize_t tls_send(struct gnutls_session_int *session, const void *bytes, size_t n)
{
	return as_socket(gnutls_record_send(session, bytes, n));
}

void tls_end(struct gnutls_session_int *session)
{
	gnutls_bye(session, GNUTLS_SHUT_WR);
}

enum tls_peer tls_peer_of(struct gnutls_session_int *session)
{
	unsigned n = 0, problems = 0;
	/* The member is not const for the sake of other kinds of data. */
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	if (!gnutls_certificate_get_peers(session, &n) || !n)
		return TLS_PEER_NONE;
	int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &problems);
	return rc == 0 && !problems ? TLS_PEER_TRUSTED : TLS_PEER_UNTRUSTED;
}
