/* Where Prometheus reaches a worker beside it: of "child" or a URL, as prometheus.yml wants it. Pure. */
#ifndef WB_MODEL_WORKER_ADDRESS_H
#define WB_MODEL_WORKER_ADDRESS_H

struct worker_address {
	char *scheme; /* "http" or "https" */
	char *host; /* HOST:PORT */
	char *path; /* "" or "/prefix", no slash at the end */
};

/* `worker` is an item of the settings blackbox or alertmanager, `listen` the address of a child. */
void worker_address_init(struct worker_address *out, const char *worker, const char *listen);
void worker_address_deinit(struct worker_address *a);
#define AUTO_WORKER_ADDRESS CLEANUP(worker_address_deinit) struct worker_address

#endif
