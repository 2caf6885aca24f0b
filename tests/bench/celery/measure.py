"""Sends the work to a worker that is ready, waits for the last chord, and prints how long it took as JSON."""

import json
import os
import sys
import time

from redis import Redis

from erase import DONE, app, erase, erase_many

TENANT = "acme"
READY_S = 60
STUCK_S = 60


def main(people, batch):
    redis = Redis.from_url(os.environ["BENCH_REDIS"])
    redis.delete(DONE)
    until = time.monotonic() + READY_S
    while not app.control.ping(timeout=1):
        if time.monotonic() > until:
            raise SystemExit("no worker is ready")
    users = [f"u-{n:07}" for n in range(1, people + 1)]
    begun = time.monotonic()
    if batch == 0:
        for user in users:
            erase.apply_async((TENANT, user), ignore_result=True)
    else:
        for at in range(0, people, batch):
            erase_many.apply_async((TENANT, users[at : at + batch]), ignore_result=True)
    done, moved = 0, time.monotonic()
    while done < people:
        time.sleep(0.01)
        now = int(redis.get(DONE) or 0)
        if now > done:
            done, moved = now, time.monotonic()
        elif time.monotonic() - moved > STUCK_S:
            raise SystemExit(f"{done} of {people} are done, and no more")
    print(json.dumps({"seconds": time.monotonic() - begun, "people": people}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
