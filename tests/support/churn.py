"""Random life on a fake Engine's cluster, and what should be in a store because of it."""


def labels(expr, opted_in=True):
    return {"com.df.notify": "true" if opted_in else "false", "com.df.alertName": "x", "com.df.alertIf": expr, "com.df.scrapePort": "8080"}


class Churn:
    """Services come, go, change, scale, move and opt in and out; about `n` of them at any time. `dice` is a random.Random, so that a seed tells all."""

    def __init__(self, cluster, dice, n):
        self.cluster, self.dice, self.n, self.serial = cluster, dice, n, 0
        for _ in range(n):
            self.add()

    def expr(self):
        self.serial += 1
        return "up == %d" % self.serial

    def add(self):
        expr = self.expr()
        self.cluster.add_service("s%d" % self.serial, labels(expr), self.dice.randint(0, 3))

    def change(self):
        """One change of one service."""
        cluster, dice = self.cluster, self.dice
        name = dice.choice(list(cluster.by_name))
        kind = dice.random()
        if kind < 0.15:
            if len(cluster.by_name) < self.n + dice.randint(-5, 5):
                self.add()
            else:
                cluster.remove_service(name)
        elif kind < 0.25:
            cluster.set_labels(name, labels(self.expr(), dice.random() < 0.7))
        elif kind < 0.40:
            cluster.scale(name, dice.randint(0, 3))
            cluster.reap(name)
        elif kind < 0.50 and cluster.by_name[name].replicas:
            cluster.change_address(name, dice.choice([t.slot for t in cluster.tasks_of[cluster.by_name[name].id].values()]))
        elif kind < 0.55:
            cluster.touch(name)
        else:
            cluster.update_labels(name, {"com.df.alertIf": self.expr()})


def truth(cluster):
    """({service: [expression]}, {service: sorted addresses}) as Watchbill has to have them."""
    with cluster.lock:
        wanted = [s for s in cluster.services.values() if s.labels.get("com.df.notify") == "true"]
        rules = {s.name: [s.labels["com.df.alertIf"]] for s in wanted}
        targets = {s.name: sorted(t.addresses[0][1].split("/")[0] + ":8080" for t in cluster.tasks_of[s.id].values() if t.desired == "running") for s in wanted}
    return rules, {name: addresses for name, addresses in targets.items() if addresses}


def stored(wb):
    """The same as it stands in the store of a Watchbill whose layout is `pooled`."""
    import os
    import yaml
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rules = {}
    for path, data in wb.rule_files().items():
        found = [r["expr"] for g in yaml.load(data, loader)["groups"] for r in g["rules"]]
        rules[os.path.basename(path).rsplit(".", 1)[0]] = found
    return rules, {name: addresses for name, addresses in wb.pooled_targets().items() if addresses}


def difference(cluster, wb):
    """What is not as it should be, None when all is."""
    for what, want, have in zip(("rules", "targets"), truth(cluster), stored(wb)):
        wrong = {name: (want.get(name), have.get(name)) for name in want.keys() | have.keys() if want.get(name) != have.get(name)}
        if wrong:
            return "%d %s are not the truth: (should be, is) %s" % (len(wrong), what, dict(sorted(wrong.items())[:5]))
    return None
