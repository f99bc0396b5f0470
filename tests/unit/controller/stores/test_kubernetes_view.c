/* Tests of controller/stores/kubernetes_view: scripts of what a watch tells, and what is to be seen of it. */
#include "base/alloc.h"
#include "stores/kubernetes_view.h"
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

enum { TTL_MS = 3000 };

static char own_space[] = "ns", own_name[] = "wb";
static const struct kube_place wb = {own_space, own_name};

static void put_head(struct kube_view *v, const char *text, const char *version)
{
	AUTO_FREE char *body = kube_object_body(&wb, KUBE_PART_HEAD, "", false, &(struct kube_version){"u", ""}, text, strlen(text));
	AUTO_JSON *j = json_parse(body, strlen(body), NULL);
	json_object_set_new(json_object_get(j, "metadata"), "resourceVersion", json_string(version));
	kube_view_put(v, j, 0);
}

static void put_said(struct kube_view *v, const char *reader, const char *text, const char *version, int64_t now_ms)
{
	struct kube_version at = {.uid = "u"};
	snprintf(at.version, sizeof at.version, "%s", version);
	AUTO_FREE char *body = kube_reader_body(&wb, reader, &at, text, strlen(text), TTL_MS, version);
	AUTO_JSON *j = json_parse(body, strlen(body), NULL);
	kube_view_put(v, j, now_ms);
}

static void gone(struct kube_view *v, const char *name)
{
	AUTO_JSON *j = json_pack("{s:{s:s}}", "metadata", "name", name);
	kube_view_delete(v, j);
}

/* "HEAD: a b", with '-' for no head; and whether the owner would be told. */
static void sees(struct kube_view *v, int64_t now_ms, const char *want, bool changed)
{
	struct remote_text texts[8];
	struct remote_state s = kube_view_state(v, now_ms, texts);
	AUTO_BUF b = BUF_INIT(1000);
	buf_printf(&b, "%s:", s.head.text ? s.head.text : "-");
	for (size_t i = 0; i < s.n_confirmations; i++)
		buf_printf(&b, " %s", s.confirmations[i].text);
	assert_string_equal(b.data, want);
	assert_int_equal(v->changed, changed);
	v->changed = false;
}

static void changes_are_seen_and_renewals_are_not(void **state)
{
	struct kube_view v = {.place = &wb};
	(void)state;
	sees(&v, 0, "-:", false);
	put_head(&v, "h1", "1");
	sees(&v, 0, "h1:", true);
	put_head(&v, "h1", "2"); /* a label of somebody's */
	sees(&v, 0, "h1:", false);
	put_said(&v, "a", "yes", "3", 0);
	sees(&v, 0, "h1: yes", true);
	put_said(&v, "a", "yes", "4", 1000);
	sees(&v, 1000, "h1: yes", false);
	put_said(&v, "a", "no", "5", 2000);
	sees(&v, 2000, "h1: no", true);
	put_said(&v, "b", "yes", "6", 2000);
	sees(&v, 2000, "h1: no yes", true);
	gone(&v, "wb-reader-a");
	sees(&v, 2000, "h1: yes", true);
	gone(&v, "wb-reader-nobody");
	sees(&v, 2000, "h1: yes", false);
	gone(&v, "wb-head");
	sees(&v, 2000, "-: yes", true);
	kube_view_deinit(&v);
}

static void a_confirmation_holds_from_when_its_renewal_was_seen(void **state)
{
	struct kube_view v = {.place = &wb};
	(void)state;
	put_said(&v, "a", "yes", "1", 500);
	assert_int_equal(kube_view_ends_in_ms(&v, 500), TTL_MS);
	sees(&v, 500 + TTL_MS - 1, "-: yes", true);
	sees(&v, 500 + TTL_MS, "-:", false);
	assert_int_equal(kube_view_ends_in_ms(&v, 500 + TTL_MS), -1);
	put_said(&v, "a", "yes", "1", 5000); /* a list tells it again: nobody has renewed it */
	sees(&v, 5000, "-:", false);
	put_said(&v, "a", "yes", "2", 6000); /* back again */
	sees(&v, 6000, "-: yes", true);
	put_said(&v, "b", "yes", "3", 7000);
	assert_int_equal(kube_view_ends_in_ms(&v, 7000), TTL_MS - 1000);
	kube_view_forgive(&v, 50000); /* nobody could be heard */
	sees(&v, 50000 + TTL_MS - 1, "-: yes yes", true);
	kube_view_deinit(&v);
}

static void who_is_silent_for_long_is_named(void **state)
{
	struct kube_view v = {.place = &wb};
	(void)state;
	put_said(&v, "a", "yes", "1", 0);
	put_said(&v, "b", "yes", "2", 100);
	assert_null(kube_view_silent(&v, 10 * TTL_MS - 1));
	assert_string_equal(kube_view_silent(&v, 10 * TTL_MS)->name, "wb-reader-a");
	put_said(&v, "a", "yes", "3", 10 * TTL_MS);
	assert_null(kube_view_silent(&v, 10 * TTL_MS));
	kube_view_deinit(&v);
}

static void a_list_takes_away_what_is_not_in_it(void **state)
{
	struct kube_view v = {.place = &wb};
	(void)state;
	put_head(&v, "h1", "1");
	put_said(&v, "a", "yes", "2", 0);
	put_said(&v, "b", "yes", "3", 0);
	sees(&v, 0, "h1: yes yes", true);
	kube_view_begin(&v);
	put_head(&v, "h1", "1");
	kube_view_begin(&v); /* it broke off */
	sees(&v, 0, "h1: yes yes", false);
	put_said(&v, "b", "yes", "3", 10);
	assert_int_equal(kube_view_end(&v), 2);
	sees(&v, 10, "-: yes", true);
	kube_view_deinit(&v);
}

static void objects_that_are_not_ours(void **state)
{
	static const char *const bodies[] = {"{}", "[]", "{\"metadata\":{\"name\":\"wb-reader-x\"},\"data\":{\"confirmation\":\"yes\"}}", "{\"metadata\":1}"};
	struct kube_view v = {.place = &wb};
	(void)state;
	put_head(&v, "h1", "1");
	v.changed = false;
	for (size_t i = 0; i < N_OF(bodies); i++) {
		AUTO_JSON *j = json_parse(bodies[i], strlen(bodies[i]), NULL);
		kube_view_put(&v, j, 0);
	}
	sees(&v, 0, "h1:", false);
	AUTO_JSON *bare = json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", "wb-head", "data", "head", "h2");
	kube_view_put(&v, bare, 0); /* its labels were taken away */
	sees(&v, 0, "-:", true);
	AUTO_JSON *empty = json_pack("{s:{s:s, s:{s:s, s:s, s:s}}}", "metadata", "name", "wb-head", "labels", "app.kubernetes.io/managed-by", "watchbill",
		"watchbill.org/store", "wb", "watchbill.org/part", "head");
	kube_view_put(&v, empty, 0); /* ours, and says nothing */
	sees(&v, 0, ":", true);
	kube_view_deinit(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_seen_and_renewals_are_not),
		cmocka_unit_test(a_confirmation_holds_from_when_its_renewal_was_seen),
		cmocka_unit_test(who_is_silent_for_long_is_named),
		cmocka_unit_test(a_list_takes_away_what_is_not_in_it),
		cmocka_unit_test(objects_that_are_not_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
