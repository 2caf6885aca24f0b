-- {people} is replaced by the number of people. Four events, two report rows and a share link for each; every third has
-- referred the one before; every fourth has a reward with a note; payouts only among the last tenth, so that the rest can be
-- erased without anything kept.

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into events (id, tenant_id, user_id, kind, payload, occurred_at)
select n * 4 + k, tenant, 'u-' || lpad(n::text, 7, '0'), case k when 0 then 'signup' when 1 then 'visit' when 2 then 'share' else 'visit' end,
  '{"mail":"person' || lpad(n::text, 7, '0') || '@example.invalid","step":' || k || '}', timestamptz '2024-01-01 00:00:00+00' + (n * 4 + k) * interval '1 minute'
from people cross join (select 0 as k union all select 1 union all select 2 union all select 3) kinds;

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into report_rows (id, tenant_id, user_id, month, visits)
select n * 2 + k, tenant, 'u-' || lpad(n::text, 7, '0'), case k when 0 then '2024-01' else '2024-02' end, n % 7 + k
from people cross join (select 0 as k union all select 1) months;

insert into visit_totals (tenant_id, month, visits)
select tenant_id, month, sum(visits) from report_rows group by tenant_id, month;

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into share_links (id, tenant_id, participant_id, slug, landing_page, referral_code, visits)
select n, tenant, n, 'k' || lpad(to_hex((n * 2654435761) % 4294967296), 8, '0'), 'https://landing.example.invalid/welcome', 'REF-' || lpad(n::text, 7, '0'), n % 11
from people;

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into referrals (id, tenant_id, referrer_id, referred_id, referred_name, referred_email, created_at)
select n, tenant, n, n - 1, 'Sampleton' || lpad((n - 1)::text, 7, '0'), 'person' || lpad((n - 1)::text, 7, '0') || '@example.invalid', timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute'
from people where n % 3 = 0 and n - 1 <> border;

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into rewards (id, tenant_id, participant_id, recipient_name, amount_cents, granted_at)
select n, tenant, n, 'Sampleton' || lpad(n::text, 7, '0'), 500 + n % 100, timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute'
from people where n % 4 = 0;

insert into reward_notes (id, reward_id, note)
select id, id, 'Handed over to ' || recipient_name from rewards;

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into payouts (id, tenant_id, participant_id, iban, amount_cents, paid_at)
select n, tenant, n, 'XX00SAMPLE' || lpad(n::text, 7, '0'), 1000 + n % 100, timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute'
from people where n > {people} * 9 / 10 and (n % 50 = 0 or n = {people});
