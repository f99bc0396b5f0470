/* WebSocket's handshake: see ws_handshake.h. */
#include "api/ws_handshake.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/cleanup.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

enum { KEY_BYTES = 16 };

char *ws_accept(const char *key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n_sum = 0;
	size_t len = 0;
	AUTO_FREE char *bytes = base64_decode(key, &len);
	if (!bytes || len != KEY_BYTES)
		return NULL;
	AUTO_FREE char *text = xasprintf("%s%s", key, guid);
	if (!EVP_Digest(text, strlen(text), sum, &n_sum, EVP_sha1(), NULL))
		return NULL;
	return base64_encode(sum, n_sum);
}

bool ws_list_holds(const char *list, const char *token)
{
	size_t len = strlen(token);
	while (*list) {
		list += strspn(list, " \t,");
		size_t n = strcspn(list, " \t,");
		if (n == len && strncasecmp(list, token, n) == 0)
			return true;
		list += n;
	}
	return false;
}

bool ws_same_origin(const char *origin, const char *host)
{
	if (!*origin)
		return true;
	const char *authority = strstr(origin, "://");
	return authority && *host && strcasecmp(authority + strlen("://"), host) == 0;
}
