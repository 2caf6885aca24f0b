-- {people} is replaced by the number of people. Accounts have 1, 2, 3, 4, 1, 2, 3, 4, ... people on them.
-- The first half (in whole tens) belongs to acme, the rest to globex. Every run gives the same rows.

insert into tenants (id, number, name) values
  ('acme', '10001', 'Acme Sample Ltd'),
  ('globex', '10002', 'Globex Sample Inc');

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into accounts (id, tenant_id, name, billing_email, created_at)
select distinct account, tenant, 'Household ' || lpad(account::text, 7, '0'), 'billing' || lpad(account::text, 7, '0') || '@example.invalid', timestamptz '2024-01-01 00:00:00+00' + (account) * interval '1 minute'
from people;

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into participants
  (id, tenant_id, account_id, user_id, external_id, email, business_unit, first_name, last_name, created_at)
select n, tenant, account, 'u-' || lpad(n::text, 7, '0'), 'ext-' || lpad(n::text, 7, '0'),
  case when n % 10 = 0 then 'Person' || lpad(n::text, 7, '0') || '@Example.Invalid' else 'person' || lpad(n::text, 7, '0') || '@example.invalid' end,
  case n % 3 when 0 then 'EU' when 1 then 'US' else 'APAC' end,
  case n % 5 when 0 then 'Zorbina' when 1 then 'Quillo' when 2 then 'Mervana' when 3 then 'Tobrix' else 'Yselda' end,
  'Sampleton' || lpad(n::text, 7, '0'), timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute'
from people;
