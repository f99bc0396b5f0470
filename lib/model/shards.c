/* Generations as texts: see shards.h. */
#include "model/shards.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/text.h"

#include <ctype.h>
#include <string.h>

enum { FORMAT = 1, PIECE_BYTES = 96, NAME_MAX_BYTES = 255 };

/* -- which files go together -- */

static size_t group(const size_t bytes[BUNDLE_SHARDS], unsigned first, unsigned end, struct shard_range *out)
{
	size_t sum = 0;
	for (unsigned i = first; i < end; i++)
		sum += bytes[i];
	if (!sum)
		return 0;
	if (sum > SHARD_AIM_BYTES && end - first > 1) {
		unsigned middle = first + (end - first) / 2;
		size_t n = group(bytes, first, middle, out);
		return n + group(bytes, middle, end, out + n);
	}
	*out = (struct shard_range){first, end};
	return 1;
}

size_t shards_group(const size_t bytes[BUNDLE_SHARDS], struct shard_range out[BUNDLE_SHARDS])
{
	return group(bytes, 0, BUNDLE_SHARDS, out);
}

unsigned shards_bucket(const char *path)
{
	int shard = bundle_rule_shard(path);
	return shard >= 0 ? (unsigned)shard : bundle_shard(path);
}

static bool is_name(const char *s)
{
	static const char others[] = "_-%~.";
	size_t n = 0;
	for (; s[n]; n++)
		if (!((s[n] >= '0' && s[n] <= '9') || (s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') || strchr(others, s[n])))
			return false;
	return n && n <= NAME_MAX_BYTES && *s != '.';
}

static bool is_target_path(const char *path)
{
	static const char folder[] = "targets/";
	return text_starts(path, folder) && is_name(path + strlen(folder));
}

bool shards_is_path(const char *path)
{
	static const char rules[] = "rules/", digits[] = "0123456789abcdef";
	if (is_target_path(path))
		return true;
	if (!text_starts(path, rules))
		return is_name(path) && text_ends(path, ".yml");
	const char *s = path + strlen(rules);
	return *s && strchr(digits, s[0]) && s[1] && strchr(digits, s[1]) && s[2] == '/' && is_name(s + 3);
}

bool shards_is_secret(const char *path)
{
	return !strchr(path, '/');
}

/* -- writing -- */

void shard_writer_init(struct shard_writer *w, shard_emit_fn *emit, void *ctx)
{
	*w = (struct shard_writer){.emit = emit, .ctx = ctx};
}

void shard_writer_end(struct shard_writer *w)
{
	if (!w->pieces)
		return;
	json_t *shard = json_pack("{s:i, s:o}", "format", FORMAT, "pieces", w->pieces);
	char *text = json_dumps(shard, JSON_COMPACT);
	struct digest name = digest_of(text, strlen(text));
	w->pieces = NULL;
	w->bytes = 0;
	json_decref(shard);
	w->emit(w->ctx, &name, w->secret, text, strlen(text));
}

/* Bytes of one byte of text in JSON, at most. */
static size_t cost_of(unsigned char c)
{
	return c < ' ' ? 6 : c == '"' || c == '\\' ? 2 : 1;
}

/* How much of the text fits into `room` bytes of JSON; ends where a character does. */
static size_t fitting(const char *text, size_t len, size_t room)
{
	size_t n = 0, cost = 0;
	while (n < len && cost + cost_of((unsigned char)text[n]) <= room)
		cost += cost_of((unsigned char)text[n++]);
	while (n < len && n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

int shard_writer_add(struct shard_writer *w, const char *path, const char *text, size_t len, struct err *e)
{
	enum { ROOM = SHARD_MAX_BYTES - 64, LEAST = 4096 };
	size_t at = 0, overhead = strlen(path) + PIECE_BYTES;
	if (!shards_is_path(path))
		return err_set(e, ERR_INPUT, "%.300s is no path of a generation", path);
	if (len > GENERATION_MAX_BYTES || !text_is_utf8(text, len) || memchr(text, '\0', len))
		return err_set(e, ERR_INPUT, "%s is no text", path);
	if (w->secret != shards_is_secret(path))
		shard_writer_end(w);
	w->secret = shards_is_secret(path);
	for (;;) {
		bool full = w->bytes + overhead >= ROOM, fresh = !w->pieces;
		size_t n = full ? 0 : fitting(text + at, len - at, ROOM - w->bytes - overhead);
		/* A file that fits into the next one is not cut for the sake of this one. */
		bool cut = n < len - at;
		if (full || (cut && !fresh && (n < LEAST || fitting(text + at, len - at, ROOM - overhead) == len - at))) {
			shard_writer_end(w);
			continue;
		}
		if (fresh)
			w->pieces = json_array();
		json_t *piece = json_pack("{s:s, s:I, s:I, s:o}", "path", path, "at", (json_int_t)at, "of", (json_int_t)len, "text", json_stringn(text + at, n));
		json_array_append_new(w->pieces, piece);
		for (size_t i = 0; i < n; i++)
			w->bytes += cost_of((unsigned char)text[at + i]);
		w->bytes += overhead;
		at += n;
		if (at == len)
			return 0;
		shard_writer_end(w);
	}
}

/* -- reading -- */

static json_t *parse_object(const char *text, size_t len, struct err *e)
{
	json_error_t why;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!j || !json_is_object(j) || json_get_int(j, "format", 0) != FORMAT) {
		json_decref(j);
		err_set(e, ERR_INPUT, "it is no text of ours");
		return NULL;
	}
	return j;
}

static bool get_size(const json_t *j, const char *key, size_t *out)
{
	const json_t *v = json_object_get(j, key);
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > GENERATION_MAX_BYTES)
		return false;
	*out = (size_t)json_integer_value(v);
	return true;
}

static void close_file(struct gathering *g)
{
	char *text = arena_strndup(&g->arena, g->open.data ? g->open.data : "", g->open.len);
	VEC_PUSH(&g->files, ((struct gathered_file){g->open_path, text, g->open.len}));
	g->open_path = NULL;
	buf_deinit(&g->open);
}

static int gather_piece(struct gathering *g, const json_t *piece, struct err *e)
{
	const char *path = json_get_str(piece, "path", "");
	const json_t *text = json_object_get(piece, "text");
	size_t at, of, len = json_string_length(text);
	if (!shards_is_path(path) || !json_is_string(text) || !get_size(piece, "at", &at) || !get_size(piece, "of", &of))
		return err_set(e, ERR_INPUT, "a piece of a file is not as it should be");
	bool goes_on = g->open_path && strcmp(path, g->open_path) == 0 && at == g->open.len && of == g->open_of;
	if (g->open_path ? !goes_on : at != 0)
		return err_set(e, ERR_INPUT, "a piece of %s is missing", g->open_path ? g->open_path : path);
	if (len > of - at || (len == 0 && of > 0) || (g->bytes += len) > GENERATION_MAX_BYTES)
		return err_set(e, ERR_INPUT, "%s is longer than it may be", path);
	if (!g->open_path) {
		g->open = BUF_INIT(GENERATION_MAX_BYTES);
		g->open_path = arena_strdup(&g->arena, path);
		g->open_of = of;
	}
	buf_add(&g->open, json_string_value(text), len);
	if (g->open.len == of)
		close_file(g);
	return 0;
}

int gathering_add(struct gathering *g, const struct digest *name, const char *text, size_t len, struct err *e)
{
	struct digest d = digest_of(text, len);
	char hex[DIGEST_HEX + 1];
	size_t i;
	json_t *piece;
	digest_hex(name, hex);
	if (len > SHARD_MAX_BYTES || !digest_equal(&d, name))
		return err_set(e, ERR_INPUT, "shard %s is not what its name says", hex);
	AUTO_JSON *j = parse_object(text, len, e);
	const json_t *pieces = json_object_get(j, "pieces");
	if (!j)
		return err_wrap(e, "shard %s", hex);
	if (!json_array_size(pieces))
		return err_set(e, ERR_INPUT, "shard %s: it holds nothing", hex);
	json_array_foreach((json_t *)pieces, i, piece)
		if (gather_piece(g, piece, e) < 0)
			return err_wrap(e, "shard %s", hex);
	return 0;
}

/* Seals the folder; -1 when it has a file twice. */
static int seal(struct folder *f, struct err *e)
{
	folder_seal(f);
	for (size_t i = 1; i < f->n; i++)
		if (strcmp(f->files[i - 1].path, f->files[i].path) == 0)
			return err_set(e, ERR_INPUT, "%s is there twice", f->files[i].path);
	return 0;
}

struct bundle *gathering_bundle(struct gathering *g, const struct digest *generation, struct err *e)
{
	if (g->open_path) {
		err_set(e, ERR_INPUT, "the end of %s is missing", g->open_path);
		return NULL;
	}
	struct bundle *b = bundle_new();
	for (size_t i = 0; i < g->files.n; i++) {
		const struct gathered_file *f = &g->files.at[i];
		int shard = bundle_rule_shard(f->path);
		struct folder **folder = &b->folders[shard < 0 ? BUNDLE_TOP : shard];
		if (!*folder)
			*folder = folder_new();
		folder_add_text(*folder, f->path, is_target_path(f->path) ? FILE_TARGETS : FILE_CONFIG, f->text, f->len);
	}
	int rc = 0;
	for (unsigned i = 0; rc == 0 && i < BUNDLE_FOLDERS; i++)
		rc = b->folders[i] ? seal(b->folders[i], e) : 0;
	if (rc == 0) {
		bundle_seal(b);
		if (!digest_equal(&b->digest, generation))
			rc = err_set(e, ERR_INPUT, "the shards are not those of the generation");
	}
	if (rc < 0) {
		bundle_free(b);
		return NULL;
	}
	return b;
}

void gathering_deinit(struct gathering *g)
{
	arena_deinit(&g->arena);
	VEC_DEINIT(&g->files);
	buf_deinit(&g->open);
	*g = (struct gathering){0};
}

/* -- small texts -- */

static bool get_digest(const json_t *j, const char *key, struct digest *out)
{
	return digest_parse(json_get_str(j, key, ""), out);
}

/* A number that is there and not negative. */
static bool get_count(const json_t *j, const char *key, uint64_t *out)
{
	const json_t *v = json_object_get(j, key);
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

/* A text that is there and fits. */
static bool get_text(const json_t *j, const char *key, char *out, size_t size)
{
	const json_t *v = json_object_get(j, key);
	size_t len = json_string_length(v);
	if (!json_is_string(v) || len >= size)
		return false;
	memcpy(out, json_string_value(v), len + 1);
	return true;
}

/* Sums use all 64 bits, which JSON's numbers have not. */
static json_t *sum_json(uint64_t n)
{
	return json_sprintf("%016llx", (unsigned long long)n);
}

static bool get_sum(const json_t *j, const char *key, uint64_t *out)
{
	const char *s = json_get_str(j, key, "");
	*out = 0;
	for (size_t i = 0; i < 16; i++) {
		if (!isxdigit((unsigned char)s[i]) || isupper((unsigned char)s[i]))
			return false;
		*out = *out << 4 | (uint64_t)(isdigit((unsigned char)s[i]) ? s[i] - '0' : s[i] - 'a' + 10);
	}
	return !s[16];
}

static char *dump_take(json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

/* -- the head -- */

static json_t *running_json(const struct running *r)
{
	return json_pack("{s:I, s:o, s:I, s:I, s:o}", "n_jobs", (json_int_t)r->n_jobs, "jobs", sum_json(r->jobs), "n_groups", (json_int_t)r->rules.n_groups,
		"n_rules", (json_int_t)r->rules.n_rules, "rules", sum_json(r->rules.digests));
}

static bool get_running(const json_t *j, struct running *r)
{
	uint64_t jobs, groups, rules;
	if (!get_count(j, "n_jobs", &jobs) || !get_count(j, "n_groups", &groups) || !get_count(j, "n_rules", &rules))
		return false;
	*r = (struct running){.n_jobs = jobs, .rules = {.n_groups = groups, .n_rules = rules}};
	return get_sum(j, "jobs", &r->jobs) && get_sum(j, "rules", &r->rules.digests);
}

char *shards_head_text(const struct shards_head *h)
{
	json_t *shards = json_array();
	for (size_t i = 0; i < h->shards.n; i++)
		json_array_append_new(shards, json_of_digest(&h->shards.at[i]));
	json_t *j = json_pack("{s:i, s:I, s:o, s:I, s:I, s:s, s:o}", "format", FORMAT, "number", (json_int_t)h->number, "digest", json_of_digest(&h->digest),
		"serial", (json_int_t)h->serial, "term", (json_int_t)h->term, "writer", h->writer, "shards", shards);
	if (h->compares)
		json_object_set_new(j, "running", running_json(&h->running));
	return dump_take(j);
}

static int read_head(struct shards_head *h, const json_t *j, struct err *e)
{
	const json_t *shards = json_object_get(j, "shards"), *running = json_object_get(j, "running");
	size_t i;
	json_t *v;
	h->compares = running != NULL;
	if (!get_count(j, "number", &h->number) || !get_digest(j, "digest", &h->digest) || !get_count(j, "serial", &h->serial) || !get_count(j, "term", &h->term) ||
		!get_text(j, "writer", h->writer, sizeof h->writer) || (running && !get_running(running, &h->running)))
		return err_set(e, ERR_INPUT, "the head is not as it should be");
	if (!json_array_size(shards) || json_array_size(shards) > SHARDS_MAX)
		return err_set(e, ERR_INPUT, "the head names no shards, or too many");
	json_array_foreach((json_t *)shards, i, v) {
		struct digest d;
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v) || !digest_parse(json_string_value(v), &d))
			return err_set(e, ERR_INPUT, "the head names a shard that is none");
		VEC_PUSH(&h->shards, d);
	}
	return 0;
}

int shards_head_parse(struct shards_head *h, const char *text, size_t len, struct err *e)
{
	AUTO_JSON *j = len <= SHARDS_TEXT_MAX_BYTES ? parse_object(text, len, e) : NULL;
	*h = (struct shards_head){0};
	if (!j)
		return err_set(e, ERR_INPUT, "the head is no text of ours");
	if (read_head(h, j, e) == 0)
		return 0;
	shards_head_deinit(h);
	return -1;
}

bool shards_head_same_files(const struct shards_head *a, const struct shards_head *b)
{
	return a->shards.n == b->shards.n && (!a->shards.n || memcmp(a->shards.at, b->shards.at, a->shards.n * sizeof *a->shards.at) == 0);
}

void shards_head_copy(struct shards_head *to, const struct shards_head *from)
{
	shards_head_deinit(to);
	*to = *from;
	to->shards.at = NULL;
	to->shards.n = to->shards.cap = 0;
	for (size_t i = 0; i < from->shards.n; i++)
		VEC_PUSH(&to->shards, from->shards.at[i]);
}

void shards_head_deinit(struct shards_head *h)
{
	VEC_DEINIT(&h->shards);
	*h = (struct shards_head){0};
}

/* -- what a reader says -- */

static const char *const outcomes[N_CONFIRM_OUTCOMES] = {
	[CONFIRM_WAITING] = "waiting",
	[CONFIRM_DONE] = "done",
	[CONFIRM_REFUSED] = "refused",
	[CONFIRM_DIFFERS] = "differs",
	[CONFIRM_UNREACHABLE] = "unreachable",
	[CONFIRM_INCOMPLETE] = "incomplete",
};

const char *confirm_outcome_name(enum confirm_outcome o)
{
	return outcomes[o];
}

bool shards_is_reader_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return n && !name[n] && n <= READER_NAME_MAX && !strchr("._-", name[0]) && !strchr("._-", name[n - 1]);
}

char *confirmation_text(const struct confirmation *c)
{
	AUTO_FREE char *message = xstrdup(c->message);
	text_mend_utf8(message, strlen(message));
	return dump_take(json_pack("{s:i, s:s, s:I, s:o, s:s, s:s, s:I}", "format", FORMAT, "reader", c->reader, "serial", (json_int_t)c->serial, "digest",
		json_of_digest(&c->digest), "outcome", outcomes[c->outcome], "message", message, "at_ms", (json_int_t)c->at_ms));
}

int confirmation_parse(struct confirmation *c, const char *text, size_t len, struct err *e)
{
	AUTO_JSON *j = len <= SHARDS_TEXT_MAX_BYTES ? parse_object(text, len, e) : NULL;
	const char *outcome = json_get_str(j, "outcome", "");
	uint64_t at_ms = 0;
	*c = (struct confirmation){.outcome = N_CONFIRM_OUTCOMES};
	for (unsigned i = 0; i < N_CONFIRM_OUTCOMES; i++)
		if (strcmp(outcome, outcomes[i]) == 0)
			c->outcome = (enum confirm_outcome)i;
	bool ok = j && c->outcome != N_CONFIRM_OUTCOMES && get_text(j, "reader", c->reader, sizeof c->reader) && shards_is_reader_name(c->reader) &&
		get_count(j, "serial", &c->serial) && get_digest(j, "digest", &c->digest) && get_text(j, "message", c->message, sizeof c->message) &&
		get_count(j, "at_ms", &at_ms);
	c->at_ms = (int64_t)at_ms;
	return ok ? 0 : err_set(e, ERR_INPUT, "it is no confirmation of ours");
}
