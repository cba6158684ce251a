"""cases: what is measured. A case is one set of servers that run together, arms that load one of
them at a time in turn, and, for the goals, what its figures must show.
"""
import dataclasses
import typing

SIZE = 100
KEYS = 100000
CLIENTS = (1, 16, 50, 256, 1000)
PIPELINES = (1, 16)
SIZES = (16, 100, 1024, 16384, 65536)
DURABILITIES = ("always", "everysec", "off")
KEYS_SIZE_MAX = 256 << 20  # Of all values of a case, so that two servers fit in memory.


@dataclasses.dataclass(frozen=True)
class Arm:
    label: str
    kind: str  # basin or redis
    durability: str
    roles: tuple  # (command, clients, pipeline) …; the first is the one that is shown
    workers: typing.Optional[int] = None

    def server(self):
        """Arms with the same answer share a server."""
        return self.kind, self.durability, self.workers


@dataclasses.dataclass(frozen=True)
class Check:
    text: str
    order: str  # >=, <=, or = for a figure without a goal
    goal: float
    measure: typing.Callable  # (figures of the arms by label) → a number


@dataclasses.dataclass
class Case:
    name: str
    group: str
    arms: tuple
    command: str = "set"
    durability: str = "always"
    clients: int = 50
    pipeline: int = 1
    size: int = SIZE
    keys: int = KEYS
    disk: str = "fast"
    fill: tuple = ("set",)
    overlap: bool = False
    checks: tuple = ()


def pair(command, durability, clients, pipeline, *, size=SIZE, disk="fast", group):
    roles = ((command, clients, pipeline),)
    fill = {"lrange": ("fill-lists",), "incr": (), "rpush": ()}.get(command, ("set",))
    keys = 1000 if command in ("lrange", "rpush") else min(KEYS, KEYS_SIZE_MAX // size)
    name = f"{command}-{durability}-c{clients}-p{pipeline}-v{size}"
    return Case(name=name if disk == "fast" else f"{disk}-{name}", group=group, disk=disk,
                arms=(Arm("Basin", "basin", durability, roles),
                      Arm("Redis", "redis", durability, roles)),
                command=command, durability=durability, clients=clients, pipeline=pipeline,
                size=size, keys=keys, fill=fill, overlap=disk == "slow")


def mixed(disk, checks=()):
    both, alone = (("get", 45, 1), ("set", 5, 1)), (("get", 45, 1),)
    arms = tuple(Arm(f"{name}, {what}", kind, "always", roles)
                 for name, kind in (("Basin", "basin"), ("Redis", "redis"))
                 for what, roles in (("beside writers", both), ("alone", alone)))
    return Case(name=f"mixed-{disk}", group="45 GET clients beside 5 that SET", arms=arms,
                command="get", clients=45, disk=disk, checks=tuple(checks))


def matrix():
    """All cases of make bench, each once."""
    cases = {}

    def add(case):
        cases.setdefault(case.name, case)
    for durability in DURABILITIES:
        for clients in CLIENTS:
            for pipeline in PIPELINES:
                add(pair("set", durability, clients, pipeline, group="SET by clients"))
    for clients in CLIENTS:
        for pipeline in PIPELINES:
            add(pair("get", "off", clients, pipeline, group="GET by clients"))
    for durability in DURABILITIES:
        for size in SIZES:
            add(pair("set", durability, 50, 1, size=size, group="By value size, 50 clients"))
    for size in SIZES:
        add(pair("get", "off", 50, 1, size=size, group="By value size, 50 clients"))
    add(mixed("fast"))
    add(mixed("slow"))
    for command in ("rpush", "lrange", "incr", "mset"):
        for durability in ("always", "off"):
            for pipeline in PIPELINES:
                add(pair(command, durability, 50, pipeline, group="Other commands, 50 clients"))
    for clients in (1, 50, 500):
        add(pair("set", "always", clients, 1, disk="slow", group="A slow disk, SET"))
    return list(cases.values())


QUICK = ("set-always-c1-p1-v100", "set-always-c50-p1-v100", "set-always-c50-p16-v100",
         "set-always-c1000-p1-v100", "set-everysec-c50-p1-v100", "set-everysec-c50-p16-v100",
         "set-off-c1-p1-v100", "set-off-c50-p1-v100", "set-off-c50-p16-v100",
         "get-off-c50-p1-v100", "get-off-c50-p16-v100", "set-always-c50-p1-v16384",
         "get-off-c50-p1-v16384", "mixed-fast", "mixed-slow", "rpush-always-c50-p1-v100",
         "lrange-off-c50-p1-v100", "incr-always-c50-p16-v100", "mset-always-c50-p1-v100",
         "slow-set-always-c1-p1-v100", "slow-set-always-c50-p1-v100")


# -- The goals -------------------------------------------------------------------------------------


def ratio(field, over, under):
    return lambda arms: arms[over][field] / arms[under][field]


def against_own(pipeline, redis_goal, own_goal):
    """SET that is durable against Redis's, and against the same server without persistence."""
    roles = (("set", 50, pipeline),)
    where = "50 clients" + (f", pipeline {pipeline}" if pipeline > 1 else "")
    return Case(
        name=f"goal-set-always-fast-p{pipeline}", group="Goals", pipeline=pipeline,
        arms=(Arm("Basin", "basin", "always", roles), Arm("Redis", "redis", "always", roles),
              Arm("Basin, off", "basin", "off", roles)),
        checks=(Check(f"SET always, fast disk, {where}: over Redis", ">=", redis_goal,
                      ratio("ops_s", "Basin", "Redis")),
                Check(f"SET always, fast disk, {where}: over Basin without persistence", ">=",
                      own_goal, ratio("ops_s", "Basin", "Basin, off"))))


def durable(disk, clients, goal):
    case = pair("set", "always", clients, 1, disk=disk, group="Goals")
    case.name = f"goal-set-always-{disk}-c{clients}"
    plural = "client" if clients == 1 else "clients"
    checks = [Check(f"SET always, {disk} disk, {clients} {plural}: over Redis", ">=", goal,
                    ratio("ops_s", "Basin", "Redis"))]
    if (disk, clients) == ("slow", 50):
        checks.append(Check("SET always, slow disk, 50 clients: p50 over one raw durable write",
                            "<=", 1.7, lambda arms: arms["Basin"]["p50_us"] / arms["raw_us"]))
    case.checks = tuple(checks)
    return case


def cost(command, pipeline, goal):
    case = pair(command, "off", 50, pipeline, group="Goals")
    case.name = f"goal-cpu-{command}-p{pipeline}"
    case.checks = (Check(f"{command.upper()} without persistence, pipeline {pipeline}: "
                         "server CPU an operation over Redis's", "<=", goal,
                         ratio("cpu_us_op", "Basin", "Redis")),)
    return case


def workers(command, durability, pipeline):
    roles = ((command, 50, pipeline),)
    name = f"{command.upper()} {durability}, 50 clients, pipeline {pipeline}"
    return Case(name=f"goal-workers-{command}-{durability}-p{pipeline}", group="Goals",
                command=command, durability=durability, pipeline=pipeline,
                arms=(Arm("2 workers", "basin", durability, roles, 2),
                      Arm("1 worker", "basin", durability, roles, 1)),
                checks=(Check(f"{name}: two workers over one", "=", 0,
                              ratio("ops_s", "2 workers", "1 worker")),))


def goals():
    beside, alone = "Basin, beside writers", "Basin, alone"
    gets = "45 GET beside 5 SET always, slow disk: "
    return [
        against_own(1, 1.3, 0.9), against_own(16, 1.8, 0.8),
        durable("fast", 1, 1.3), durable("slow", 1, 1.0), durable("slow", 50, 2.0),
        durable("slow", 500, 1.6),
        dataclasses.replace(mixed("slow", (
            Check(gets + "GETs over Redis's", ">=", 10,
                  ratio("ops_s", beside, "Redis, beside writers")),
            Check(gets + "GETs over the same alone", ">=", 0.85, ratio("ops_s", beside, alone)),
            Check(gets + "p99 alone over p99 beside", ">=", 0.85,
                  ratio("p99_us", alone, beside)))),
            name="goal-mixed-slow", group="Goals"),
        cost("get", 1, 1.0), cost("set", 1, 1.0), cost("get", 16, 0.75), cost("set", 16, 0.75),
        workers("set", "off", 1), workers("get", "off", 1), workers("set", "off", 16),
        workers("set", "always", 1), workers("set", "always", 16),
    ]
