/* Fuzzes lib/io/kubeconfig, and what lib/io/kube makes of a Status: a file is read or refused with its name and the place, an answer is one line. */
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "io/kube.h"
#include "io/kubeconfig.h"

static void assert_whole(const struct kubeconfig *k)
{
	bool has_cert = k->cert.file || k->cert.data.len, has_key = k->key.file || k->key.data.len;
	FUZZ_CHECK(k->server && k->ns && (text_starts(k->server, "http://") || text_starts(k->server, "https://")));
	FUZZ_CHECK(!strpbrk(k->server, "@ \r\n"));
	FUZZ_CHECK(has_cert == has_key);
	FUZZ_CHECK(!k->token.data.len || !strpbrk(k->token.data.data, " \r\n"));
	FUZZ_CHECK(!k->exec.argv || (*k->exec.argv && **k->exec.argv && k->exec.env && k->exec.api_version));
	FUZZ_CHECK(!(k->insecure && (k->ca.file || k->ca.data.len)));
}

static void assert_line(const char *line)
{
	FUZZ_CHECK(*line && text_is_utf8(line, strlen(line)));
	for (; *line; line++)
		FUZZ_CHECK((unsigned char)*line >= ' ' && *line != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	AUTO_FREE char *context = fuzz_string(&in);
	struct kubeconfig k;
	struct err e = {0};
	if (kubeconfig_parse(&k, (const char *)in.at, (size_t)(in.end - in.at), "/etc/k", context, &e) == 0) {
		assert_whole(&k);
		kubeconfig_deinit(&k);
	} else {
		FUZZ_CHECK(e.kind == ERR_INPUT && text_starts(e.msg, "kubeconfig /etc/k: "));
	}
	int64_t ms;
	char line[256];
	kube_fate_of_status((const char *)data, size, &ms, line);
	FUZZ_CHECK(ms >= 0);
	assert_line(line);
	struct http_result r = {.status = 400 + (int)(size % 200), .body = BUF_INIT(1 << 20)};
	buf_add(&r.body, data, size);
	FUZZ_CHECK(kube_fate(&r, line) != KUBE_OK);
	assert_line(line);
	buf_deinit(&r.body);
	return 0;
}
