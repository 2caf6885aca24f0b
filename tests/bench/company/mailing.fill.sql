-- {people} is replaced by the number of people: four letters and one row of preferences for each. The tenants are the sample's.

with people as (
  select n, case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into letters (id, tenant_id, user_id, subject, sent_at)
select n * 4 + k, tenant, 'u-' || lpad(n::text, 7, '0'), 'Dear Sampleton' || lpad(n::text, 7, '0'),
  timestamptz '2024-01-01 00:00:00+00' + (n * 4 + k) * interval '1 minute'
from people cross join generate_series(0, 3) as letters (k);

with people as (
  select n, case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into preferences (tenant_id, user_id, language)
select tenant, 'u-' || lpad(n::text, 7, '0'), case n % 3 when 0 then 'en' when 1 then 'de' else 'fr' end from people;
