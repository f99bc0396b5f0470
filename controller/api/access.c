/* Who may do what: see access.h. */
#include "api/access.h"

#include "base/alloc.h"
#include "base/log.h"
#include "io/dirwatch.h"
#include "io/fs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* -- the decision -- */

static enum access_verdict judge_token(const struct access_rules *r, enum access_need need, const struct access_credentials *c)
{
	if (!c->token)
		return ACCESS_TOKEN_MISSING;
	/* Both are always searched, so that the time tells nothing. */
	bool writes = r->writers && tokens_hold(r->writers, c->token, c->token_len);
	bool reads = r->readers && tokens_hold(r->readers, c->token, c->token_len);
	bool alerts = r->alerters && tokens_hold(r->alerters, c->token, c->token_len);
	if (writes || (reads && need == ACCESS_READ) || (alerts && need == ACCESS_ALERTS))
		return ACCESS_GRANTED;
	if (reads)
		return ACCESS_TOKEN_ONLY_READS;
	return alerts ? ACCESS_TOKEN_ONLY_ALERTS : ACCESS_TOKEN_WRONG;
}

static enum access_verdict judge_certificate(enum tls_peer peer)
{
	static const enum access_verdict verdicts[] = {
		[TLS_PEER_NONE] = ACCESS_CERTIFICATE_MISSING,
		[TLS_PEER_UNTRUSTED] = ACCESS_CERTIFICATE_UNTRUSTED,
		[TLS_PEER_TRUSTED] = ACCESS_GRANTED,
	};
	return verdicts[peer];
}

static bool needs_certificate(const struct access_rules *r, enum access_need need)
{
	bool changes = need == ACCESS_WRITE || need == ACCESS_ALERTS;
	return need == ACCESS_READ ? r->read == READ_ACCESS_CERTIFICATE : changes && r->certificates;
}

static bool needs_token(const struct access_rules *r, enum access_need need)
{
	if (need == ACCESS_READ)
		return r->read == READ_ACCESS_TOKEN;
	return need == ACCESS_ALERTS ? r->writers || r->alerters : need == ACCESS_WRITE && r->writers;
}

enum access_verdict access_judge(const struct access_rules *r, enum access_need need, const struct access_credentials *c)
{
	if (c->local)
		return ACCESS_GRANTED;
	enum access_verdict v = needs_certificate(r, need) ? judge_certificate(c->peer) : ACCESS_GRANTED;
	return v == ACCESS_GRANTED && needs_token(r, need) ? judge_token(r, need, c) : v;
}

int access_check_settings(const struct settings *set, struct err *e)
{
	bool cert = *set->tls_cert_file, key = *set->tls_key_file, ca = *set->client_ca_file;
	bool writers = *set->token_file, readers = *set->read_token_file;
	if (cert != key)
		return err_set(e, ERR_INPUT, "tls-cert-file and tls-key-file go together; %s is missing", cert ? "tls-key-file" : "tls-cert-file");
	if (ca && !cert)
		return err_set(e, ERR_INPUT, "client-ca-file: client certificates come with TLS; set tls-cert-file and tls-key-file too");
	if (set->read_access != READ_ACCESS_OPEN && !writers && !ca)
		return err_set(e, ERR_INPUT, "read-access: to read would be harder than to change; set token-file or client-ca-file too");
	if (set->read_access == READ_ACCESS_TOKEN && !writers && !readers)
		return err_set(e, ERR_INPUT, "read-access: no file says which tokens may read; set read-token-file or token-file");
	if (set->read_access == READ_ACCESS_CERTIFICATE && !ca)
		return err_set(e, ERR_INPUT, "read-access: no file says whose certificates may read; set client-ca-file");
	if (readers && set->read_access != READ_ACCESS_TOKEN)
		return err_set(e, ERR_INPUT, "read-token-file has no effect as long as read-access is not `token`");
	return 0;
}

/* -- files -- */

enum { FILE_WRITERS, FILE_READERS, FILE_ALERTERS, FILE_CERT, FILE_KEY, FILE_CLIENT_CA, N_FILES };

static const struct file_def {
	const char *setting;
	size_t offset;
	bool is_secret;
} file_defs[N_FILES] = {
	[FILE_WRITERS] = {"token-file", offsetof(struct settings, token_file), true},
	[FILE_READERS] = {"read-token-file", offsetof(struct settings, read_token_file), true},
	[FILE_ALERTERS] = {"alert-log-token-file", offsetof(struct settings, alert_log_token_file), true},
	[FILE_CERT] = {"tls-cert-file", offsetof(struct settings, tls_cert_file), false},
	[FILE_KEY] = {"tls-key-file", offsetof(struct settings, tls_key_file), true},
	[FILE_CLIENT_CA] = {"client-ca-file", offsetof(struct settings, client_ca_file), false},
};

struct file {
	struct access *access;
	const struct file_def *def;
	const char *path; /* "": not set */
	struct dirwatch *watch;
	char *problem; /* of the last attempt, NULL: none; that of TLS stands at the certificate */
};

struct access {
	struct file files[N_FILES];
	struct access_rules rules;
	struct tokens writers, readers, alerters;
	struct tls_identity *identity;
	uint64_t refusals[N_ACCESS_VERDICTS];
};

/* The caller frees. A pipe would make us wait, therefore only regular files. */
static char *read_file(const struct file *f, size_t *len, struct err *e)
{
	AUTO_BUF text = BUF_INIT(FILE_MAX_BYTES);
	struct stat st;
	if (stat(f->path, &st) == 0 && !S_ISREG(st.st_mode)) {
		err_set(e, ERR_INPUT, "%s is no regular file", f->path);
		return NULL;
	}
	if (fs_read(f->path, &text, e) < 0)
		return NULL;
	*len = text.len;
	return buf_take(&text);
}

static int load_tokens(struct file *f, struct tokens *tokens, struct err *e)
{
	struct tokens fresh;
	size_t len = 0;
	AUTO_FREE char *text = read_file(f, &len, e);
	if (!text)
		return -1;
	int rc = tokens_parse(&fresh, text, len, e);
	explicit_bzero(text, len);
	if (rc < 0)
		return err_wrap(e, "%s", f->path);
	tokens_deinit(tokens);
	*tokens = fresh;
	return 0;
}

static int load_identity(struct access *a, struct err *e)
{
	size_t cert_len = 0, key_len = 0, ca_len = 0;
	bool has_ca = *a->files[FILE_CLIENT_CA].path;
	AUTO_FREE char *cert = read_file(&a->files[FILE_CERT], &cert_len, e);
	AUTO_FREE char *key = cert ? read_file(&a->files[FILE_KEY], &key_len, e) : NULL;
	AUTO_FREE char *ca = key && has_ca ? read_file(&a->files[FILE_CLIENT_CA], &ca_len, e) : NULL;
	struct tls_identity *fresh = key && (ca || !has_ca) ? tls_identity_new(cert, key, ca, e) : NULL;
	if (key)
		explicit_bzero(key, key_len);
	if (!fresh)
		return -1;
	tls_identity_unref(a->identity);
	a->identity = fresh;
	return 0;
}

/* The three files of TLS are read together. */
static struct file *whole_of(struct file *f)
{
	size_t i = (size_t)(f - f->access->files);
	return i > FILE_CERT ? &f->access->files[FILE_CERT] : f;
}

static int load(struct file *f, struct err *e)
{
	struct access *a = f->access;
	if (f->def == &file_defs[FILE_WRITERS])
		return load_tokens(f, &a->writers, e);
	if (f->def == &file_defs[FILE_READERS])
		return load_tokens(f, &a->readers, e);
	if (f->def == &file_defs[FILE_ALERTERS])
		return load_tokens(f, &a->alerters, e);
	return load_identity(a, e);
}

static void on_change(void *ctx, const struct dir_files *files)
{
	struct file *f = whole_of(ctx);
	struct err e = {0};
	(void)files;
	free(TAKE(f->problem));
	if (load(f, &e) == 0) {
		log_info("access reread setting=%s", f->def->setting);
		return;
	}
	f->problem = xstrdup(e.msg);
	log_warn("access kept_former setting=%s problem=%s", f->def->setting, LOGQ(e.msg));
}

static void watch(struct file *f, uv_loop_t *loop)
{
	f->watch = dirwatch_new(loop, &(struct dirwatch_spec){.file = f->path, .on_change = on_change, .ctx = f}, NULL);
}

/* Watched before it is read, so that no change falls in between. */
static int open_files(struct access *a, uv_loop_t *loop, const struct settings *set, struct err *e)
{
	for (size_t i = 0; i < N_FILES; i++) {
		struct file *f = &a->files[i];
		*f = (struct file){.access = a, .def = &file_defs[i], .path = *(char *const *)((const char *)set + file_defs[i].offset)};
		if (*f->path)
			watch(f, loop);
	}
	for (size_t i = 0; i < N_FILES; i++) {
		struct file *f = &a->files[i];
		if (*f->path && f == whole_of(f) && load(f, e) < 0)
			return err_wrap(e, "%s", f->def->setting);
	}
	return 0;
}

struct access *access_new(uv_loop_t *loop, const struct settings *set, struct err *e)
{
	if (access_check_settings(set, e) < 0)
		return NULL;
	struct access *a = xcalloc(1, sizeof *a);
	a->rules = (struct access_rules){
		.writers = *set->token_file ? &a->writers : NULL,
		.readers = *set->read_token_file ? &a->readers : NULL,
		.alerters = *set->alert_log_token_file ? &a->alerters : NULL,
		.certificates = *set->client_ca_file,
		.read = (enum read_access)set->read_access,
	};
	if (open_files(a, loop, set, e) == 0)
		return a;
	access_free(a);
	return NULL;
}

void access_free(struct access *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < N_FILES; i++) {
		dirwatch_free(a->files[i].watch);
		free(a->files[i].problem);
	}
	tokens_deinit(&a->writers);
	tokens_deinit(&a->readers);
	tokens_deinit(&a->alerters);
	tls_identity_unref(a->identity);
	free(a);
}

struct tls_identity *const *access_identity(const struct access *a)
{
	return a->identity ? &a->identity : NULL;
}

bool access_is_open(const struct access *a, enum access_need need)
{
	return !needs_certificate(&a->rules, need) && !needs_token(&a->rules, need);
}

void access_diags(const struct access *a, struct diags *d)
{
	for (size_t i = 0; i < N_FILES; i++) {
		const struct file *f = &a->files[i];
		struct stat st;
		if (f->problem)
			diags_add(d, DIAG_ERROR, "", f->def->setting, "Mend the file; it is read again by itself.", "what was read before stays in use: %s", f->problem);
		if (f->def->is_secret && *f->path && stat(f->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
			diags_add(d, DIAG_WARNING, "", f->def->setting, "chmod 600; for a secret of a stack, `mode: 0400`.", "%s can be read by every user", f->path);
	}
}

/* -- requests -- */

static const struct refusal {
	const char *name, *error, *remedy;
	int status;
	const char *challenge; /* NULL: another token would not help */
} refusals[N_ACCESS_VERDICTS] = {
	[ACCESS_TOKEN_MISSING] = {"token_missing", "a token is needed", "Send the header `Authorization: Bearer TOKEN` (docs/access.md).", 401,
		"Bearer realm=\"watchbill\""},
	[ACCESS_TOKEN_WRONG] = {"token_wrong", "the token is not known", "Send one that stands in the file of the setting token-file or read-token-file.", 401,
		"Bearer realm=\"watchbill\", error=\"invalid_token\""},
	[ACCESS_TOKEN_ONLY_READS] = {"token_only_reads", "the token may only read", "Send one that stands in the file of the setting token-file.", 403,
		"Bearer realm=\"watchbill\", error=\"insufficient_scope\""},
	[ACCESS_TOKEN_ONLY_ALERTS] = {"token_only_alerts", "the token is for posting to the alert log only",
		"Send one that stands in the file of the setting token-file or read-token-file.", 403, "Bearer realm=\"watchbill\", error=\"insufficient_scope\""},
	[ACCESS_CERTIFICATE_MISSING] = {"certificate_missing", "a client certificate is needed",
		"Connect over TLS with a certificate that an authority in client-ca-file has signed.", 403, NULL},
	[ACCESS_CERTIFICATE_UNTRUSTED] = {"certificate_untrusted", "the client certificate is not trusted",
		"Use one for clients that is valid now and that an authority in client-ca-file has signed.", 403, NULL},
};

static void reply_refusal(struct api_exchange *x, const struct refusal *r)
{
	AUTO_BUF b = BUF_INIT(4096);
	buf_printf(&b, "{\"error\":\"%s\",\"remedy\":\"%s\"}", r->error, r->remedy);
	if (r->challenge)
		api_reply_header(x, "WWW-Authenticate", r->challenge);
	api_reply(x, r->status, "application/json", b.data, b.len, NULL);
}

bool access_permits(struct access *a, enum access_need need, const struct api_request *r, struct api_exchange *x)
{
	struct access_credentials c = {.local = r->local};
	c.token = tokens_bearer(r->authorization, &c.token_len);
	if (!c.local && needs_certificate(&a->rules, need))
		c.peer = api_peer(x);
	enum access_verdict v = access_judge(&a->rules, need, &c);
	if (v == ACCESS_GRANTED)
		return true;
	a->refusals[v]++;
	log_debug("access refused reason=%s path=%s", refusals[v].name, LOGQ(r->path));
	reply_refusal(x, &refusals[v]);
	return false;
}

uint64_t access_refusals(const struct access *a, enum access_verdict why)
{
	return a->refusals[why];
}

const char *access_verdict_name(enum access_verdict v)
{
	return v == ACCESS_GRANTED ? "granted" : refusals[v].name;
}
