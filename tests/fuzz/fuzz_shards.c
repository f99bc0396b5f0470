/* Shards, heads and confirmations from strangers: whatever is taken leads nowhere but into the store's folders, is whole, and is written back as it was. */
#include "fuzz.h"

#include "model/shards.h"

static void keep(void *ctx, const struct digest *name, bool secret, char *text_take, size_t len)
{
	struct gathering *g = ctx;
	struct err e;
	(void)secret;
	FUZZ_CHECK(len <= SHARD_MAX_BYTES);
	FUZZ_CHECK(gathering_add(g, name, text_take, len, &e) == 0);
	free(text_take);
}

/* What was gathered, written and gathered again. */
static void assert_comes_back(const struct gathering *g, const struct bundle *b)
{
	AUTO_GATHERING again = {0};
	struct shard_writer w;
	struct err e;
	shard_writer_init(&w, keep, &again);
	for (size_t i = 0; i < g->files.n; i++)
		FUZZ_CHECK(shard_writer_add(&w, g->files.at[i].path, g->files.at[i].text, g->files.at[i].len, &e) == 0);
	shard_writer_end(&w);
	struct bundle *back = gathering_bundle(&again, &b->digest, &e);
	FUZZ_CHECK(back != NULL);
	bundle_free(back);
}

/* The digest that a generation of these files has. */
static struct digest digest_of_files(const struct gathering *g)
{
	struct bundle *b = bundle_new();
	for (size_t i = 0; i < g->files.n; i++) {
		const struct gathered_file *f = &g->files.at[i];
		int shard = bundle_rule_shard(f->path);
		struct folder **folder = &b->folders[shard < 0 ? BUNDLE_TOP : shard];
		if (!*folder)
			*folder = folder_new();
		folder_add_text(*folder, f->path, strncmp(f->path, "targets/", 8) == 0 ? FILE_TARGETS : FILE_CONFIG, f->text, f->len);
	}
	for (unsigned i = 0; i < BUNDLE_SHARDS; i++)
		if (b->folders[i])
			folder_seal(b->folders[i]);
	bundle_seal(b);
	struct digest d = b->digest;
	bundle_free(b);
	return d;
}

static void assert_path(const char *path)
{
	FUZZ_CHECK(*path && *path != '/' && *path != '.' && !strstr(path, "/.") && !strstr(path, "//"));
	for (; *path; path++)
		FUZZ_CHECK((unsigned char)*path > ' ' && (unsigned char)*path < 0x7f);
}

/* The texts between NULs are shards in their order. */
static void shards(struct fuzz_input in)
{
	AUTO_GATHERING g = {0};
	struct err e = {0};
	while (in.at < in.end) {
		AUTO_FREE char *text = fuzz_string(&in);
		struct digest d = digest_of(text, strlen(text));
		if (gathering_add(&g, &d, text, strlen(text), &e) < 0) {
			FUZZ_CHECK(e.kind == ERR_INPUT && *e.msg);
			return;
		}
		d.bytes[0] ^= 1;
		AUTO_GATHERING other = {0};
		FUZZ_CHECK(gathering_add(&other, &d, text, strlen(text), &e) < 0);
	}
	for (size_t i = 0; i < g.files.n; i++)
		assert_path(g.files.at[i].path);
	FUZZ_CHECK(!gathering_bundle(&g, &(struct digest){0}, &e)); /* nothing has that digest */
	struct digest generation = digest_of_files(&g);
	struct bundle *b = gathering_bundle(&g, &generation, &e);
	FUZZ_CHECK(b || g.open_path || strstr(e.msg, "twice"));
	if (b)
		assert_comes_back(&g, b);
	bundle_free(b);
}

static void head(const char *bytes, size_t len)
{
	AUTO_HEAD h = {0}, back = {0};
	struct err e = {0};
	if (shards_head_parse(&h, bytes, len, &e) < 0) {
		FUZZ_CHECK(e.kind == ERR_INPUT && *e.msg && !h.shards.at);
		return;
	}
	AUTO_FREE char *text = shards_head_text(&h);
	FUZZ_CHECK(shards_head_parse(&back, text, strlen(text), &e) == 0 && shards_head_same_files(&h, &back));
	FUZZ_CHECK(h.shards.n && h.shards.n <= SHARDS_MAX && h.term == back.term && h.serial == back.serial && strcmp(h.writer, back.writer) == 0);
}

static void confirmation(const char *bytes, size_t len)
{
	struct confirmation c, back;
	struct err e = {0};
	if (confirmation_parse(&c, bytes, len, &e) < 0)
		return;
	AUTO_FREE char *text = confirmation_text(&c);
	FUZZ_CHECK(shards_is_reader_name(c.reader) && confirmation_parse(&back, text, strlen(text), &e) == 0);
	FUZZ_CHECK(c.outcome == back.outcome && strcmp(c.reader, back.reader) == 0 && strcmp(c.message, back.message) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	shards((struct fuzz_input){data, data + size});
	head((const char *)data, size);
	confirmation((const char *)data, size);
	return 0;
}
