/* Variables as configuration: see environment.h.
 *
 * Two spellings: `GLOBAL__SCRAPE_TIMEOUT` says the whole place; `GLOBAL_…`, `REMOTE_WRITE_…`, `REMOTE_READ_…` without any `__` are an older form that
 * stands for `GLOBAL__…`, `REMOTE_WRITE_1__…`, `REMOTE_READ_1__…`. Where both set the same place the full form counts.
 *
 * Entries of maps are texts `key=value` in the value of the map (`…__EXTERNAL_LABELS=dc=eu`), of which there may be several with any number behind
 * the name (`…__EXTERNAL_LABELS_2=zone=a`); or the key is part of the name, behind `-` or `__`, and then in small letters. */
#include "model/environment.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "model/known_keys.h"
#include "model/sparse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NO_PLACE "the name says no place in the configuration"
enum { MAX_STEPS = 24, MAX_POSITION = 9999, MAX_SUBJECT = 300 };

static const struct section {
	const char *prefix;
	enum base_section section;
	bool list; /* of entries; the others are maps */
	bool short_form; /* without any "__" */
} sections[] = {
	{"GLOBAL", BASE_GLOBAL, false, true},
	{"ALERTING", BASE_ALERTING, false, false},
	{"SCRAPE_CONFIGS", BASE_SCRAPE, true, false},
	{"REMOTE_WRITE", BASE_REMOTE_WRITE, true, true},
	{"REMOTE_READ", BASE_REMOTE_READ, true, true},
};

/* Of Docker Flow Monitor and Docker Flow Swarm Listener. */
static const char *const df_names[] = {"DF_DOCKER_HOST", "DF_GET_NODES_URL", "DF_INCLUDE_NODE_IP_INFO", "DF_NODE_IP_INFO_INCLUDES_TASK_ADDRESS",
	"DF_NODE_POLLING_INTERVAL", "DF_NODE_TARGET_LABELS", "DF_NOTIFICATION_URL", "DF_NOTIFY_CREATE_NODE_URL", "DF_NOTIFY_CREATE_SERVICE_IMMEDIATELY",
	"DF_NOTIFY_CREATE_SERVICE_METHOD", "DF_NOTIFY_CREATE_SERVICE_URL", "DF_NOTIFY_LABEL", "DF_NOTIFY_REMOVE_NODE_URL", "DF_NOTIFY_REMOVE_SERVICE_METHOD",
	"DF_NOTIFY_REMOVE_SERVICE_URL", "DF_NOTIF_CREATE_SERVICE_URL", "DF_NOTIF_REMOVE_SERVICE_URL", "DF_RETRY", "DF_RETRY_INTERVAL", "DF_SCRAPE_TARGET_LABELS",
	"DF_SERVICE_NAME_PREFIX", "DF_SERVICE_POLLING_INTERVAL", "DF_USE_DOCKER_NODE_EVENTS", "DF_USE_DOCKER_SERVICE_EVENTS"};

struct variable {
	char *name;
	const char *value;
	const struct section *section; /* NULL for all others */
	bool is_short;
};

struct variables {
	VEC(struct variable) v;
};

static void variables_deinit(struct variables *v)
{
	for (size_t i = 0; i < v->v.n; i++)
		free(v->v.at[i].name);
	VEC_DEINIT(&v->v);
}

/* -- what is whose -- */

static const struct section *section_of(const char *name)
{
	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
		size_t n = strlen(sections[i].prefix);
		if (strncmp(name, sections[i].prefix, n) == 0 && name[n] == '_')
			return &sections[i];
	}
	return NULL;
}

/* Full forms first, so that they are the ones that count; otherwise by name. */
static int by_form_and_name(const void *pa, const void *pb)
{
	const struct variable *a = pa, *b = pb;
	return a->is_short != b->is_short ? a->is_short - b->is_short : strcmp(a->name, b->name);
}

/* The environment, sorted; of a name that is there twice the first counts, as with getenv. */
static struct variables read_variables(char *const *env)
{
	struct variables v = {0};
	for (; *env; env++) {
		size_t n = strcspn(*env, "=");
		bool known = (*env)[n] != '=';
		for (size_t i = 0; i < v.v.n && !known; i++)
			known = strlen(v.v.at[i].name) == n && strncmp(v.v.at[i].name, *env, n) == 0;
		if (known)
			continue;
		struct variable one = {.name = xstrndup(*env, n), .value = *env + n + 1};
		one.section = section_of(one.name);
		one.is_short = one.section && !strstr(one.name, "__");
		VEC_PUSH(&v.v, one);
	}
	if (v.v.n)
		qsort(v.v.at, v.v.n, sizeof *v.v.at, by_form_and_name);
	return v;
}

static const struct variable *find(const struct variables *v, const char *name)
{
	for (size_t i = 0; i < v->v.n; i++)
		if (strcmp(v->v.at[i].name, name) == 0)
			return &v->v.at[i];
	return NULL;
}

/* -- a name as a place -- */

struct place {
	long slot; /* entry of a list section, 0 otherwise */
	struct sparse_step steps[MAX_STEPS + 2];
	size_t n;
	bool map; /* the value is "key=value" */
	bool map_of_lists; /* whose key may end in a position */
	char *names; /* what the steps' names point into */
};

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_-.", c));
}

/* "targets_12": cuts the position off and returns it; 0 without one. -1: it is no position. */
static long cut_position(char *word)
{
	char *at = strrchr(word, '_');
	int64_t position;
	if (!at || !at[1] || strspn(at + 1, "0123456789") != strlen(at + 1) || known_key_kind(word) == KEY_NUMBERED)
		return 0;
	if (at == word || !text_parse_int(at + 1, 1, MAX_POSITION, &position))
		return -1;
	*at = '\0';
	return (long)position;
}

/* One word of a name. Returns what is wrong with it, NULL when nothing is. */
static const char *add_word(struct place *p, char *word)
{
	struct sparse_step *before = p->n ? &p->steps[p->n - 1] : NULL;
	enum key_kind above = before ? known_key_kind(before->name) : KEY_ANY;
	char *dash = strchr(word, '-');
	if (!*word || !isalpha((unsigned char)*word))
		return "a name with a letter at its beginning is expected between the underscores";
	for (char *c = word; *c; c++)
		if (!is_name_char(*c))
			return "only letters, digits, dashes and underscores are expected in the name";
	if (p->n >= MAX_STEPS)
		return "it goes down too many levels";
	if (dash)
		*dash = '\0';
	bool dashed_map = dash && known_key_kind(word) == KEY_MAP;
	if (dash)
		*dash = '-';
	if (above == KEY_MAP) { /* the key of an entry, which may well end in _3 */
		p->steps[p->n++] = (struct sparse_step){word, 0};
		return NULL;
	}
	if (dashed_map) {
		*dash = '\0';
		p->steps[p->n++] = (struct sparse_step){word, 0};
		p->steps[p->n++] = (struct sparse_step){dash + 1, 0};
		return dash[1] ? NULL : "a name is expected behind the dash";
	}
	long position = cut_position(word);
	if (position < 0)
		return "positions in a list begin at 1 and end at 9999";
	enum key_kind kind = known_key_kind(word);
	if (kind == KEY_MAP || kind == KEY_MAP_OF_LISTS)
		position = 0; /* tells several entries apart and means nothing else */
	if (above == KEY_MAP_OF_LISTS && !position)
		position = 1;
	p->steps[p->n++] = (struct sparse_step){word, position};
	return NULL;
}

static const char *add_words(struct place *p, char *words)
{
	for (char *at = words; at;) {
		char *next = strstr(at, "__");
		if (next) {
			*next = '\0';
			next += 2;
		}
		const char *wrong = add_word(p, at);
		if (wrong)
			return wrong;
		at = next;
	}
	enum key_kind kind = known_key_kind(p->steps[p->n - 1].name), above = p->n > 1 ? known_key_kind(p->steps[p->n - 2].name) : KEY_ANY;
	p->map = (kind == KEY_MAP || kind == KEY_MAP_OF_LISTS) && above != KEY_MAP && above != KEY_MAP_OF_LISTS;
	p->map_of_lists = p->map && kind == KEY_MAP_OF_LISTS;
	return NULL;
}

/* Where the words begin in what follows the section's name ("_2__URL"), NULL when it names no place. Sets the entry's position. */
static const char *words_of(const struct section *s, bool is_short, const char *rest, long *slot)
{
	int64_t position;
	*slot = s->list;
	if (is_short)
		return s->short_form ? rest + 1 : NULL;
	if (text_starts(rest, "__"))
		return rest + 2;
	size_t digits = strspn(rest + 1, "0123456789");
	if (!s->list || !digits || !text_starts(rest + 1 + digits, "__"))
		return NULL;
	AUTO_FREE char *number = xstrndup(rest + 1, digits);
	if (!text_parse_int(number, 1, MAX_POSITION, &position))
		return NULL;
	*slot = (long)position;
	return rest + 1 + digits + 2;
}

static void place_deinit(struct place *p)
{
	free(p->names);
}

/* Returns what is wrong with the name, NULL when nothing is. */
static const char *place_parse(const struct variable *v, struct place *p)
{
	const char *rest = v->name + strlen(v->section->prefix), *words = words_of(v->section, v->is_short, rest, &p->slot);
	if (!words)
		return NO_PLACE;
	p->names = xstrdup(words);
	for (char *c = p->names; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return add_words(p, p->names);
}

/* -- one variable -- */

/* What the variables of one item have said so far. */
struct group {
	char *key; /* of the same section and key: the same item */
	const struct section *section;
	long slot;
	json_t *tree; /* sparse; below the entry in a list section, below the section otherwise */
	struct buf subject;
};

struct groups {
	VEC(struct group) v;
	struct diags *diags;
};

static char *group_key(const struct variable *v, const struct place *p)
{
	if (v->section->list)
		return xasprintf("%s_%ld", v->section->prefix, p->slot);
	bool entry = p->n > 1 ? known_key_kind(p->steps[0].name) == KEY_MAP : p->map;
	return entry ? xstrdup(v->name) : xasprintf("%s__%s_%ld", v->section->prefix, p->steps[0].name, p->steps[0].position);
}

static struct group *group_of(struct groups *g, const struct variable *v, const struct place *p)
{
	AUTO_FREE char *key = group_key(v, p);
	for (size_t i = 0; i < g->v.n; i++)
		if (strcmp(g->v.at[i].key, key) == 0)
			return &g->v.at[i];
	VEC_PUSH(&g->v, ((struct group){TAKE(key), v->section, p->slot, json_object(), BUF_INIT(1 << 20)}));
	return &g->v.at[g->v.n - 1];
}

static void wrong(struct diags *d, const struct variable *v, const char *remedy, const char *what)
{
	diags_add(d, DIAG_ERROR, "", v->name, remedy, "the variable is left out: %s", what);
}

/* The place of an entry of a map: the key stands before the first '=' of the value. `key` is borrowed by the place. */
static const char *enter_map(struct place *p, const char *value, char **key, const char **rest)
{
	const char *equals = strchr(value, '=');
	long position = 0;
	if (!equals || equals == value)
		return "the value has to be key=value";
	*key = xstrndup(value, (size_t)(equals - value));
	*rest = equals + 1;
	for (char *c = *key; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "there are control characters in the key";
	if (p->map_of_lists) {
		position = cut_position(*key);
		if (position < 0)
			return "positions in a list begin at 1 and end at 9999";
		position = position ? position : 1;
	}
	p->steps[p->n++] = (struct sparse_step){*key, position};
	return NULL;
}

static json_t *value_of(const struct place *p, const char *text)
{
	enum key_kind above = p->n > 1 ? known_key_kind(p->steps[p->n - 2].name) : KEY_ANY;
	bool of_map = above == KEY_MAP || above == KEY_MAP_OF_LISTS, is_name = strcmp(p->steps[p->n - 1].name, "job_name") == 0;
	return of_map || is_name ? json_string(text) : known_key_value(p->steps[p->n - 1].name, text);
}

/* The form in which a name that says no place probably was meant. */
static char *likely_name(const struct variable *v)
{
	const char *rest = v->name + strlen(v->section->prefix);
	rest += strspn(rest, "_0123456789");
	return xasprintf("Write %s%s__%s, as docs/environment.md says.", v->section->prefix, v->section->list ? "_1" : "", *rest ? rest : "KEY");
}

static void add_variable(struct groups *g, const struct variable *v)
{
	struct place p CLEANUP(place_deinit) = {0};
	AUTO_FREE char *key = NULL, *likely = likely_name(v);
	const char *what = text_is_utf8(v->name, strlen(v->name)) ? place_parse(v, &p) : "the name is not valid UTF-8", *text = v->value;
	if (what) {
		wrong(g->diags, v, strcmp(what, NO_PLACE) == 0 ? likely : "docs/environment.md says how such a name is made.", what);
		return;
	}
	struct group *at = group_of(g, v, &p);
	if (p.map)
		what = enter_map(&p, v->value, &key, &text);
	json_t *value = what || !text_is_utf8(v->value, strlen(v->value)) ? NULL : value_of(&p, text);
	if (!what && !value)
		what = "the value is not valid UTF-8";
	if (what)
		wrong(g->diags, v, "Correct the value.", what);
	else if (sparse_set(at->tree, p.steps, p.n, value) < 0)
		wrong(g->diags, v, "Keep one of the two.", "another variable says something else of the same place");
	else
		buf_printf(&at->subject, "%s%s", at->subject.len ? ", " : "", v->name);
}

/* Of two map entries in items of their own the place may be the same too. */
static void settle_entries(struct groups *g)
{
	json_t *seen[N_BASE_SECTIONS] = {0};
	for (size_t i = 0; i < g->v.n; i++) {
		struct group *at = &g->v.at[i];
		const char *key = json_object_iter_key(json_object_iter(at->tree));
		json_t *map = key ? json_object_get(at->tree, key) : NULL, **all = &seen[at->section->section];
		if (at->section->list || !key || known_key_kind(key) != KEY_MAP || !json_is_object(map))
			continue;
		const char *entry = json_object_iter_key(json_object_iter(map));
		if (!*all)
			*all = json_object();
		AUTO_FREE char *name = xasprintf("%s\x01%s", key, entry);
		if (json_object_get(*all, name)) {
			diags_add(g->diags, DIAG_ERROR, "", at->subject.data, "Keep one of the two.", "the variable is left out: another variable sets the same entry");
			json_object_clear(at->tree);
		}
		json_object_set_new(*all, name, json_true());
	}
	for (size_t s = 0; s < N_BASE_SECTIONS; s++)
		json_decref(seen[s]);
}

static int by_section_and_slot(const void *pa, const void *pb)
{
	const struct group *a = pa, *b = pb;
	if (a->section != b->section)
		return a->section < b->section ? -1 : 1;
	if (a->slot != b->slot)
		return a->slot < b->slot ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* A job's name goes first, for people. */
static json_t *entry_of(const json_t *sparse)
{
	json_t *dense = sparse_dense(sparse), *entry = json_object(), *name = json_object_get(dense, "job_name");
	if (name)
		json_object_set(entry, "job_name", name);
	json_object_update(entry, dense);
	json_decref(dense);
	return entry;
}

static void add_groups(struct groups *g, struct base_items *out)
{
	settle_entries(g);
	if (g->v.n)
		qsort(g->v.at, g->v.n, sizeof *g->v.at, by_section_and_slot);
	for (size_t i = 0; i < g->v.n; i++) {
		struct group *at = &g->v.at[i];
		AUTO_FREE char *subject = xstrndup(at->subject.data ? at->subject.data : "", MAX_SUBJECT);
		if (json_object_size(at->tree))
			base_items_add(out, at->section->section, subject, "", at->section->list ? entry_of(at->tree) : json_incref(at->tree));
		free(at->key);
		json_decref(at->tree);
		buf_deinit(&at->subject);
	}
	VEC_DEINIT(&g->v);
}

static void add_sections(const struct variables *v, struct base_items *out)
{
	struct groups g = {.diags = &out->diags};
	for (size_t i = 0; i < v->v.n; i++)
		if (v->v.at[i].section && !setting_by_alias(v->v.at[i].name)) /* those are not told twice */
			add_variable(&g, &v->v.at[i]);
	add_groups(&g, out);
}

/* -- ARG_ALERTMANAGER_URL -- */

struct alertmanager {
	char *scheme, *path, *host;
};

static void alertmanager_deinit(struct alertmanager *a)
{
	free(a->scheme);
	free(a->path);
	free(a->host);
}

/* Returns what is wrong with the URL, NULL when nothing is. `note` gets what is only half right. */
static const char *alertmanager_parse(const char *url, struct alertmanager *a, const char **note)
{
	const char *colon = strstr(url, "://"), *rest = colon ? colon + 3 : url;
	size_t n = strcspn(rest, "/?#");
	a->scheme = colon ? xstrndup(url, (size_t)(colon - url)) : xstrdup("http");
	for (char *c = a->scheme; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	const char *at = memrchr(rest, '@', n);
	const char *host = at ? at + 1 : rest;
	a->host = xstrndup(host, (size_t)(rest + n - host));
	a->path = xstrndup(rest + n, strcspn(rest + n, "?#"));
	for (size_t len = strlen(a->path); len && a->path[len - 1] == '/'; len--)
		a->path[len - 1] = '\0';
	*note = !colon ? "a URL has no scheme; http is used"
		: at       ? "a URL has a user in it, which is not used; set ALERTING__ALERTMANAGERS_1__BASIC_AUTH__USERNAME and …__PASSWORD"
		: strchr(rest + n, '?') || strchr(rest + n, '#') ? "a URL has something behind its path, which is not used"
														 : NULL;
	if (strcmp(a->scheme, "http") != 0 && strcmp(a->scheme, "https") != 0)
		return "a URL has to begin with http:// or https://";
	if (!*a->host || *a->host == ':' || strpbrk(a->host, " \t\r\n\"'<>\\^`{|}") || strpbrk(a->path, " \t\r\n") || !text_is_utf8(url, strlen(url)))
		return "there is no host and port in a URL";
	return NULL;
}

/* The entry for that scheme and path, made when it is not there yet. Entries in the order of the list. */
static json_t *alertmanager_entry(json_t *entries, const struct alertmanager *a)
{
	size_t i;
	json_t *entry;
	json_array_foreach(entries, i, entry) {
		const char *path = json_string_value(json_object_get(entry, "path_prefix"));
		if (strcmp(json_string_value(json_object_get(entry, "scheme")), a->scheme) == 0 && strcmp(path ? path : "", a->path) == 0)
			return entry;
	}
	entry = json_pack("{s:[{s:[]}], s:s}", "static_configs", "targets", "scheme", a->scheme);
	if (*a->path)
		json_object_set_new(entry, "path_prefix", json_string(a->path));
	json_array_append_new(entries, entry);
	return entry;
}

static void add_alertmanager(const struct variable *v, const char *url, int number, json_t *entries, struct diags *d)
{
	struct alertmanager a CLEANUP(alertmanager_deinit) = {0};
	const char *note = NULL, *what = alertmanager_parse(url, &a, &note);
	if (what) {
		diags_add(d, DIAG_ERROR, "", v->name, "Write it as http://alertmanager:9093.", "item %d is left out: %s", number, what);
		return;
	}
	if (note)
		diags_add(d, DIAG_WARNING, "", v->name, "Write it as http://alertmanager:9093.", "item %d: %s", number, note);
	json_t *targets = json_object_get(json_array_get(json_object_get(alertmanager_entry(entries, &a), "static_configs"), 0), "targets");
	json_array_append_new(targets, json_string(a.host));
}

/* An entry as a sparse tree, so that ALERTING__ALERTMANAGERS_1__… can add to it. */
static void add_alertmanager_item(const struct variable *v, size_t number, const json_t *entry, struct base_items *out)
{
	const struct sparse_step steps[2] = {{"alertmanagers", (long)number}};
	json_t *patch = json_object(), *flat = json_copy((json_t *)entry);
	const json_t *targets = json_object_get(json_array_get(json_object_get(entry, "static_configs"), 0), "targets");
	json_t *target;
	size_t i;
	json_object_del(flat, "static_configs");
	sparse_set(patch, steps, 1, json_object());
	json_array_foreach((json_t *)targets, i, target) {
		const struct sparse_step path[] = {steps[0], {"static_configs", 1}, {"targets", (long)i + 1}};
		sparse_set(patch, path, 3, json_incref(target));
	}
	const char *key;
	json_t *value;
	json_object_foreach(flat, key, value) {
		const struct sparse_step path[] = {steps[0], {key, 0}};
		sparse_set(patch, path, 2, json_incref(value));
	}
	json_decref(flat);
	base_items_add(out, BASE_ALERTING, v->name, "", patch);
}

static void add_alertmanagers(const struct variables *all, struct base_items *out)
{
	const struct variable *v = find(all, "ARG_ALERTMANAGER_URL");
	AUTO_FREE char *list = xstrdup(v ? v->value : "");
	json_t *entries = json_array(), *entry;
	size_t i;
	int number = 0;
	for (char *rest = list, *url; (url = strsep(&rest, ","));) {
		while (isspace((unsigned char)*url))
			url++;
		for (size_t n = strlen(url); n && isspace((unsigned char)url[n - 1]); n--)
			url[n - 1] = '\0';
		number++;
		if (*url)
			add_alertmanager(v, url, number, entries, &out->diags);
	}
	json_array_foreach(entries, i, entry)
		add_alertmanager_item(v, i + 1, entry, out);
	json_decref(entries);
}

/* -- SERVICE_NAME_n, SCRAPE_PORT_n -- */

static bool is_host(const char *s)
{
	if (!*s || !text_is_utf8(s, strlen(s)))
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || strchr("/:@?#\"'`", *s))
			return false;
	return true;
}

static void add_pair(const struct variable *name, const struct variable *port, struct base_items *out)
{
	int64_t number;
	if (!is_host(name->value)) {
		wrong(&out->diags, name, "Give the name of a service, without a port.", "the value is no name of a service");
	} else if (!text_parse_int(port->value, 1, 65535, &number)) {
		wrong(&out->diags, port, "Give a number from 1 to 65535.", "the value is no port");
	} else {
		AUTO_FREE char *target = xasprintf("%s:%d", name->value, (int)number), *subject = xasprintf("%s, %s", name->name, port->name);
		base_items_add(out, BASE_SCRAPE, subject, "",
			json_pack("{s:s, s:s, s:[{s:[s]}]}", "job_name", name->value, "metrics_path", "/metrics", "static_configs", "targets", target));
	}
}

static bool is_numbered(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(name, prefix, n) == 0 && name[n] && strspn(name + n, "0123456789") == strlen(name + n);
}

struct pair {
	const struct variable *name;
	unsigned long number;
};

static int by_number(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;
	return a->number != b->number ? (a->number < b->number ? -1 : 1) : strcmp(a->name->name, b->name->name);
}

static void add_pairs(const struct variables *all, struct base_items *out)
{
	VEC(struct pair) pairs = {0};
	for (size_t i = 0; i < all->v.n; i++) {
		const struct variable *v = &all->v.at[i];
		bool is_name = is_numbered(v->name, "SERVICE_NAME_");
		if (!is_name && !is_numbered(v->name, "SCRAPE_PORT_"))
			continue;
		AUTO_FREE char *other = xasprintf("%s%s", is_name ? "SCRAPE_PORT_" : "SERVICE_NAME_", v->name + strlen(is_name ? "SERVICE_NAME_" : "SCRAPE_PORT_"));
		AUTO_FREE char *remedy = xasprintf("Set %s too.", other);
		if (!find(all, other))
			wrong(&out->diags, v, remedy, "its other half is missing");
		else if (is_name)
			VEC_PUSH(&pairs, ((struct pair){v, strtoul(v->name + strlen("SERVICE_NAME_"), NULL, 10)}));
	}
	if (pairs.n)
		qsort(pairs.at, pairs.n, sizeof *pairs.at, by_number);
	for (size_t i = 0; i < pairs.n; i++) {
		AUTO_FREE char *port = xasprintf("SCRAPE_PORT_%s", pairs.at[i].name->name + strlen("SERVICE_NAME_"));
		add_pair(pairs.at[i].name, find(all, port), out);
	}
	VEC_DEINIT(&pairs);
}

/* -- DF_* -- */

static void report_unknown_df(const struct variables *all, struct diags *d)
{
	const size_t n = sizeof df_names / sizeof *df_names;
	for (size_t i = 0; i < all->v.n; i++) {
		const char *name = all->v.at[i].name;
		bool known = !text_starts(name, "DF_") || setting_by_alias(name);
		for (size_t k = 0; k < n && !known; k++)
			known = strcmp(df_names[k], name) == 0;
		if (known)
			continue;
		const char *near = text_nearest(name, df_names, n);
		AUTO_FREE char *remedy = near ? xasprintf("Did you mean %s?", near) : xstrdup("Take it out, unless another program reads it.");
		diags_add(d, DIAG_WARNING, "", name, remedy, "no variable of this name is known");
	}
}

void environment_items(char *const *env, struct base_items *out)
{
	struct variables all CLEANUP(variables_deinit) = read_variables(env);
	add_alertmanagers(&all, out);
	add_pairs(&all, out);
	add_sections(&all, out);
	report_unknown_df(&all, &out->diags);
}
