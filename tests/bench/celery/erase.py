"""The same job as an expert would write it with Celery: RabbitMQ carries, Redis holds results, a chord waits for four tasks.

Two ways: `erase` forgets one person, `erase_many` a batch by the same batched SQL that the ceiling uses. A task is acknowledged
after it has committed; publishing waits for confirms; queues are quorum queues.
"""

import os
from contextlib import contextmanager

import psycopg
from celery import Celery, chord, signals
from redis import Redis

app = Celery("erase", broker=os.environ["BENCH_AMQP"], backend=os.environ["BENCH_REDIS"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="bench.celery",
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "32")),
    worker_send_task_events=False,
    task_ignore_result=False,
    result_expires=3600,
    broker_connection_retry_on_startup=True,
)

DONE = os.environ.get("BENCH_DONE", "bench:celery:done")
_stores = {}
_redis = None


@signals.worker_process_init.connect
def _forget_connections(**_):
    """A connection is not shared with the process that a worker was forked from."""
    global _redis
    _stores.clear()
    _redis = None


def store(name):
    """The connection of this process to a store."""
    if name not in _stores:
        url = f"{os.environ['BENCH_POSTGRES']}?options=-c%20search_path%3D{name}"
        _stores[name] = psycopg.connect(url, autocommit=True)
    return _stores[name]


@contextmanager
def transaction(name):
    """A transaction on a store's connection, which stays open afterwards."""
    connection = store(name)
    with connection.transaction():
        yield connection


def count_done(people):
    global _redis
    if _redis is None:
        _redis = Redis.from_url(os.environ["BENCH_REDIS"])
    _redis.incrby(DONE, people)


# --- one person ------------------------------------------------------------------------------------------------------------


@app.task
def erase(tenant, user):
    """Finds the person, and has every subsystem forget them."""
    with transaction("crm") as crm:
        row = crm.execute("select id from participants where tenant_id = %s and user_id = %s", (tenant, user)).fetchone()
    if row is not None:
        chord(
            [profiles.s(tenant, user), segments.s(tenant, user), analytics.s(tenant, user, row[0]), mailing.s(tenant, user)],
            finished.si(1),
        ).delay()


@app.task
def profiles(tenant, user):
    with transaction("crm") as crm:
        row = crm.execute(
            "select account_id from participants where tenant_id = %s and user_id = %s", (tenant, user)
        ).fetchone()
        if row is None:
            return
        crm.execute("select id from accounts where id = %s for update", row)
        crm.execute("delete from participants where tenant_id = %s and user_id = %s", (tenant, user))
        crm.execute(
            "delete from accounts a where id = %s and not exists (select 1 from participants p where p.account_id = a.id)", row
        )


@app.task
def segments(tenant, user):
    with transaction("marketing") as marketing:
        marketing.execute(
            "with gone as (delete from memberships where tenant_id = %s and user_id = %s returning segment_id),"
            " held as (select id from segments where id in (select segment_id from gone) order by id for update)"
            " update segments s set member_count = member_count - 1 from held where s.id = held.id",
            (tenant, user),
        )


@app.task
def analytics(tenant, user, participant):
    with transaction("warehouse") as warehouse:
        warehouse.execute("delete from events where tenant_id = %s and user_id = %s", (tenant, user))
        warehouse.execute("delete from report_rows where tenant_id = %s and user_id = %s", (tenant, user))
        one = (tenant, participant)
        warehouse.execute(
            "update share_links set participant_id = null, referral_code = null where tenant_id = %s and participant_id = %s", one
        )
        warehouse.execute("update referrals set referrer_id = null where tenant_id = %s and referrer_id = %s", one)
        warehouse.execute(
            "update referrals set referred_id = null, referred_name = 'Deleted participant', referred_email = null"
            " where tenant_id = %s and referred_id = %s",
            one,
        )
        warehouse.execute(
            "update reward_notes n set note = null from rewards r"
            " where n.reward_id = r.id and r.tenant_id = %s and r.participant_id = %s",
            one,
        )
        warehouse.execute(
            "update rewards set participant_id = null, recipient_name = 'Deleted participant'"
            " where tenant_id = %s and participant_id = %s",
            one,
        )


@app.task
def mailing(tenant, user):
    with transaction("mailing") as mails:
        mails.execute("delete from letters where tenant_id = %s and user_id = %s", (tenant, user))
        mails.execute("delete from preferences where tenant_id = %s and user_id = %s", (tenant, user))


# --- many people at once ---------------------------------------------------------------------------------------------------

PEOPLE = "with s as materialized (select * from unnest(%s::text[], %s::text[]) as s (tenant, who)) "
ROWS = "with s as materialized (select * from unnest(%s::text[], %s::bigint[]) as s (tenant, who)) "


@app.task
def erase_many(tenant, users):
    with transaction("crm") as crm:
        rows = crm.execute(
            PEOPLE + "select p.id from s join participants p on p.tenant_id = s.tenant and p.user_id = s.who",
            ([tenant] * len(users), users),
        ).fetchall()
    ids = [row[0] for row in rows]
    chord(
        [
            profiles_many.s(tenant, users),
            segments_many.s(tenant, users),
            analytics_many.s(tenant, users, ids),
            mailing_many.s(tenant, users),
        ],
        finished.si(len(users)),
    ).delay()


@app.task
def profiles_many(tenant, users):
    people = ([tenant] * len(users), users)
    with transaction("crm") as crm:
        rows = crm.execute(
            PEOPLE + "select p.account_id from s join participants p on p.tenant_id = s.tenant and p.user_id = s.who", people
        ).fetchall()
        accounts = sorted({row[0] for row in rows})
        crm.execute("select id from accounts where id = any(%s) order by id for update", (accounts,))
        crm.execute(PEOPLE + "delete from participants p using s where p.tenant_id = s.tenant and p.user_id = s.who", people)
        crm.execute(
            "delete from accounts a where id = any(%s) and not exists (select 1 from participants p where p.account_id = a.id)",
            (accounts,),
        )


@app.task
def segments_many(tenant, users):
    with transaction("marketing") as marketing:
        marketing.execute(
            PEOPLE
            + ", gone as (delete from memberships m using s where m.tenant_id = s.tenant and m.user_id = s.who returning segment_id),"
            " held as (select g.segment_id, count(*) as removed from gone g group by g.segment_id order by g.segment_id)"
            " update segments s set member_count = member_count - held.removed from held where s.id = held.segment_id",
            ([tenant] * len(users), users),
        )


@app.task
def analytics_many(tenant, users, ids):
    people, rows = ([tenant] * len(users), users), ([tenant] * len(ids), ids)
    with transaction("warehouse") as warehouse:
        for table in ("events", "report_rows"):
            warehouse.execute(PEOPLE + f"delete from {table} t using s where t.tenant_id = s.tenant and t.user_id = s.who", people)
        for change in (
            "update share_links t set participant_id = null, referral_code = null from s"
            " where t.tenant_id = s.tenant and t.participant_id = s.who",
            "update referrals t set referrer_id = null from s where t.tenant_id = s.tenant and t.referrer_id = s.who",
            "update referrals t set referred_id = null, referred_name = 'Deleted participant', referred_email = null from s"
            " where t.tenant_id = s.tenant and t.referred_id = s.who",
            "update reward_notes n set note = null from s join rewards r on r.tenant_id = s.tenant and r.participant_id = s.who"
            " where n.reward_id = r.id",
            "update rewards t set participant_id = null, recipient_name = 'Deleted participant' from s"
            " where t.tenant_id = s.tenant and t.participant_id = s.who",
        ):
            warehouse.execute(ROWS + change, rows)


@app.task
def mailing_many(tenant, users):
    people = ([tenant] * len(users), users)
    with transaction("mailing") as mails:
        for table in ("letters", "preferences"):
            mails.execute(PEOPLE + f"delete from {table} t using s where t.tenant_id = s.tenant and t.user_id = s.who", people)


# --- both ------------------------------------------------------------------------------------------------------------------


@app.task(ignore_result=True)
def finished(people):
    """What the chord ends with: everybody of it is forgotten."""
    count_done(people)
