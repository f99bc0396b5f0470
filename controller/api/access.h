/* Who may do what: rules from settings and files that are read again when they change, and the decision on each request. IO
 * layer; the decision itself is pure.
 *
 * A file that is broken at the start ends it, because nobody is to believe in a lock that is open; one that breaks later leaves
 * in force what was read before. Tokens are in no log line, no answer and no diag. */
#ifndef WB_API_ACCESS_H
#define WB_API_ACCESS_H

#include "api/server.h"
#include "base/diag.h"
#include "model/settings.h"
#include "model/tokens.h"

enum access_need {
	ACCESS_OPEN, /* health: always */
	ACCESS_READ,
	ACCESS_WRITE, /* whatever changes something, by whatever method */
	ACCESS_ALERTS, /* to post to the alert log */
	ACCESS_BY_ROUTE, /* of a table: the tables below it say */
};

enum access_verdict {
	ACCESS_GRANTED,
	ACCESS_TOKEN_MISSING,
	ACCESS_TOKEN_WRONG,
	ACCESS_TOKEN_ONLY_READS,
	ACCESS_TOKEN_ONLY_ALERTS,
	ACCESS_CERTIFICATE_MISSING,
	ACCESS_CERTIFICATE_UNTRUSTED,
	N_ACCESS_VERDICTS
};

struct access_rules {
	const struct tokens *writers, *readers, *alerters; /* NULL: there is no such file */
	bool certificates; /* who changes something has to show one */
	enum read_access read;
};

/* What a request comes with. */
struct access_credentials {
	bool local; /* over a unix socket, whose file mode has decided */
	const char *token; /* NULL: none; not followed by a NUL */
	size_t token_len;
	enum tls_peer peer;
};

/* Pure. */
enum access_verdict access_judge(const struct access_rules *r, enum access_need need, const struct access_credentials *c);
/* Settings that contradict each other, or would leave open what somebody believes to be closed. Pure. */
int access_check_settings(const struct settings *set, struct err *e);

struct access;

/* NULL with `e` when the settings or one of their files cannot be used. The settings are borrowed. */
struct access *access_new(uv_loop_t *loop, const struct settings *set, struct err *e);
/* NULL is allowed. */
void access_free(struct access *a);

/* Whether the request may go on; if not it has been answered. */
bool access_permits(struct access *a, enum access_need need, const struct api_request *r, struct api_exchange *x);

/* What the addresses show as a server, for api_server_spec; NULL without TLS. */
struct tls_identity *const *access_identity(const struct access *a);
/* Whether whoever reaches a TCP address may do this. */
bool access_is_open(const struct access *a, enum access_need need);

/* Files that could not be read again, or that others can read. */
void access_diags(const struct access *a, struct diags *d);
/* How many requests were refused for this reason. */
uint64_t access_refusals(const struct access *a, enum access_verdict why);
/* As in metrics: "token_missing". */
const char *access_verdict_name(enum access_verdict v);

#endif
