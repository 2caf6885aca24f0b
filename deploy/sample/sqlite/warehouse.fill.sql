-- {people} is replaced by the number of people. Four events, two report rows and a share link for each; every third has
-- referred the one before; every fourth has a reward with a note; payouts only among the last tenth, so that the rest can be
-- erased without anything kept.

with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {people}),
people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from numbers
)
insert into events (id, tenant_id, user_id, kind, payload, occurred_at)
select n * 4 + k, tenant, 'u-' || printf('%07d', n), case k when 0 then 'signup' when 1 then 'visit' when 2 then 'share' else 'visit' end,
  '{"mail":"person' || printf('%07d', n) || '@example.invalid","step":' || k || '}', datetime('2024-01-01', '+' || (n * 4 + k) || ' minutes')
from people cross join (select 0 as k union all select 1 union all select 2 union all select 3) kinds;

with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {people}),
people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from numbers
)
insert into report_rows (id, tenant_id, user_id, month, visits)
select n * 2 + k, tenant, 'u-' || printf('%07d', n), case k when 0 then '2024-01' else '2024-02' end, n % 7 + k
from people cross join (select 0 as k union all select 1) months;

insert into visit_totals (tenant_id, month, visits)
select tenant_id, month, sum(visits) from report_rows group by tenant_id, month;

with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {people}),
people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from numbers
)
insert into share_links (id, tenant_id, participant_id, slug, landing_page, referral_code, visits)
select n, tenant, n, 'k' || printf('%08x', (n * 2654435761) % 4294967296), 'https://landing.example.invalid/welcome', 'REF-' || printf('%07d', n), n % 11
from people;

with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {people}),
people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from numbers
)
insert into referrals (id, tenant_id, referrer_id, referred_id, referred_name, referred_email, created_at)
select n, tenant, n, n - 1, 'Sampleton' || printf('%07d', n - 1), 'person' || printf('%07d', n - 1) || '@example.invalid', datetime('2024-01-01', '+' || (n) || ' minutes')
from people where n % 3 = 0 and n - 1 <> border;

with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {people}),
people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from numbers
)
insert into rewards (id, tenant_id, participant_id, recipient_name, amount_cents, granted_at)
select n, tenant, n, 'Sampleton' || printf('%07d', n), 500 + n % 100, datetime('2024-01-01', '+' || (n) || ' minutes')
from people where n % 4 = 0;

insert into reward_notes (id, reward_id, note)
select id, id, 'Handed over to ' || recipient_name from rewards;

with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {people}),
people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from numbers
)
insert into payouts (id, tenant_id, participant_id, iban, amount_cents, paid_at)
select n, tenant, n, 'XX00SAMPLE' || printf('%07d', n), 1000 + n % 100, datetime('2024-01-01', '+' || (n) || ' minutes')
from people where n > {people} * 9 / 10 and (n % 50 = 0 or n = {people});
