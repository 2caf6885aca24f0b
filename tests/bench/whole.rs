//! W1 and W2: the whole job by the fleet, by its parts, and by Celery, side by side.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use erasure_tests::{company::Technology, servers::Servers};

use crate::{
    ceiling::{self, Ceiling, ledger::Writes},
    celery,
    estate::Estate,
    fleet::{self, Load},
    report::{Figures, median},
};

/// How many people Celery's batches have.
const CELERY_BATCH: u32 = 500;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Subjects in each run.
    pub(crate) subjects: u32,
    /// How many runs.
    pub(crate) runs: usize,
    /// How many processes.
    pub(crate) processes: usize,
}

/// Measures one of the two.
pub(crate) async fn run(load: Load, size: &Size) -> Result<Figures> {
    let servers = Servers::of_this_run()?;
    let subjects = size.subjects;
    eprintln!("{load:?}: making a company of which {subjects} people are forgotten");
    let estate = Arc::new(Estate::found(&servers.postgres, subjects).await?);
    let (mut runs, mut ceilings) = (Vec::new(), Vec::new());
    for at in 1..=size.runs {
        let run = Box::pin(fleet::run(&estate, load, Technology::Postgres, size.processes)).await?;
        let ceiling = Box::pin(ceiling::run(&estate, load, &Writes::of(load, subjects, &run)?)).await?;
        eprintln!(
            "{load:?}: run {at}: the fleet {:.0}/s, the ceiling {:.0}/s",
            f64::from(subjects) / run.seconds,
            f64::from(subjects) / ceiling.seconds()
        );
        runs.push(run);
        ceilings.push(ceiling);
    }
    Ok(figures(subjects, &runs, &ceilings))
}

/// What Celery did.
#[derive(Clone, Debug)]
pub(crate) struct Celery {
    one_by_one: Vec<f64>,
    batched: Vec<f64>,
    memory: f64,
}

impl Celery {
    /// Measures it: this many people one by one, and as many, or 2,000 if those are more, in batches.
    pub(crate) async fn run(plain: u32, runs: usize) -> Result<Self> {
        let servers = Servers::of_this_run()?;
        eprintln!("Celery: making two companies");
        let one_by_one = Arc::new(Estate::found(&servers.postgres, plain).await?);
        let batched = Arc::new(Estate::found(&servers.postgres, plain.max(4 * CELERY_BATCH)).await?);
        let mut all = Self {
            one_by_one: Vec::new(),
            batched: Vec::new(),
            memory: 0.0,
        };
        for at in 1..=runs {
            let single = celery::run(&one_by_one, None).await?;
            let batch = celery::run(&batched, Some(CELERY_BATCH)).await?;
            eprintln!("Celery: run {at}: {:.0}/s, in batches {:.0}/s", single.per_s, batch.per_s);
            all.one_by_one.push(single.per_s);
            all.batched.push(batch.per_s);
            all.memory = all.memory.max(single.memory).max(batch.memory);
        }
        Ok(all)
    }

    /// Puts it beside the fleet.
    pub(crate) fn beside(&self, figures: &mut Figures) {
        figures.celery_per_s = median(&self.one_by_one);
        figures.celery_batched_per_s = median(&self.batched);
        figures.fleet_over_celery = over(figures.fleet_per_s, figures.celery_per_s);
        figures.fleet_over_celery_batched = over(figures.fleet_per_s, figures.celery_batched_per_s);
        figures.memory_mib.insert("celery".to_owned(), self.memory);
    }
}

fn figures(subjects: u32, runs: &[fleet::Run], ceilings: &[Ceiling]) -> Figures {
    let each = f64::from(subjects);
    let rates = |seconds: &mut dyn Iterator<Item = f64>| seconds.map(|it| each / it).collect::<Vec<_>>();
    let fleet = rates(&mut runs.iter().map(|it| it.seconds));
    let fleet_per_s = median(&fleet);
    let ceiling_per_s = median(&rates(&mut ceilings.iter().map(Ceiling::seconds)));
    let memory_mib = by_name(runs.iter().map(|it| &it.memory), |values| {
        values.iter().copied().fold(0.0, f64::max)
    });
    let us = |of: fn(&Ceiling) -> f64| {
        let all: Vec<f64> = ceilings.iter().map(|it| of(it) * 1e6 / each).collect();
        median(&all).unwrap_or_default()
    };
    let parts: [(&str, f64); 5] = [
        ("a hop", us(|it| it.hop)),
        ("stores", us(|it| it.stores)),
        ("tracker", us(|it| it.tracker)),
        ("ledger", us(|it| it.ledger)),
        ("ledger in SQLite", us(|it| it.ledger_sqlite)),
    ];
    let ledger: Vec<f64> = runs.iter().map(|it| it.ledger_bytes / each).collect();
    let redis: Vec<f64> = ceilings.iter().map(|it| it.redis_bytes / each).collect();
    let per_subject = |of: fn(&fleet::Run) -> f64| {
        let all: Vec<f64> = runs.iter().map(|it| of(it) / each).collect();
        median(&all).unwrap_or_default()
    };
    let more: [(&str, f64); 6] = [
        ("Redis at the end, bytes a subject", per_subject(|it| it.redis_bytes)),
        ("PostgreSQL transactions a subject", per_subject(|it| it.counted.transactions)),
        ("PostgreSQL syncs a subject", per_subject(|it| it.counted.wal_syncs)),
        ("PostgreSQL log bytes a subject", per_subject(|it| it.counted.wal_bytes)),
        ("Redis scripts a subject", per_subject(|it| it.counted.redis_scripts)),
        (
            "Redis scripts, us a subject",
            per_subject(|it| it.counted.redis_script_seconds * 1e6),
        ),
    ];
    Figures {
        subjects,
        runs: runs.len(),
        fleet_per_s,
        ceiling_per_s,
        fleet_over_ceiling: over(fleet_per_s, ceiling_per_s),
        ceiling_sqlite_per_s: median(&rates(&mut ceilings.iter().map(Ceiling::seconds_sqlite))),
        rss_mib: memory_mib.get("fleet").copied(),
        memory_mib,
        redis_bytes_per_subject: median(&redis),
        ledger_bytes_per_subject: median(&ledger),
        parts_us: parts.into_iter().map(|(name, us)| (name.to_owned(), us)).collect(),
        cpu_us: by_name(runs.iter().map(|it| &it.cpu), |values| {
            median(values).unwrap_or_default() * 1e6 / each
        }),
        fleet_runs_per_s: fleet,
        more: more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Figures::default()
    }
}

fn by_name<'a>(runs: impl Iterator<Item = &'a BTreeMap<String, f64>>, of: impl Fn(&[f64]) -> f64) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.flatten() {
        values.entry(name.clone()).or_default().push(*value);
    }
    values.into_iter().map(|(name, values)| (name, of(&values))).collect()
}

/// One rate over another.
fn over(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).map(|(one, other)| one / other)
}
