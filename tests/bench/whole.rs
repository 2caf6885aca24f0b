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
    /// How many subjects Celery gets one by one; it is slow. In batches it gets 2,000 or more.
    pub(crate) celery: Option<u32>,
}

/// Measures one of the two.
pub(crate) async fn run(load: Load, size: &Size) -> Result<Figures> {
    let servers = Servers::of_this_run()?;
    let subjects = size.subjects;
    eprintln!("{load:?}: making a company of which {subjects} people are forgotten");
    let estate = Arc::new(Estate::found(&servers.postgres, subjects).await?);
    let (mut runs, mut ceilings) = (Vec::new(), Vec::new());
    for at in 1..=size.runs {
        let run = Box::pin(fleet::run(&estate, load, Technology::Postgres)).await?;
        let ceiling = Box::pin(ceiling::run(&estate, load, &Writes::of(load, subjects, &run)?)).await?;
        eprintln!(
            "{load:?}: run {at}: the fleet {:.0}/s, the ceiling {:.0}/s",
            f64::from(subjects) / run.seconds,
            f64::from(subjects) / ceiling.seconds()
        );
        runs.push(run);
        ceilings.push(ceiling);
    }
    let mut figures = figures(subjects, &runs, &ceilings);
    if let Some(plain) = size.celery {
        measure_celery(&servers, &mut figures, plain, size.runs).await?;
    }
    Ok(figures)
}

async fn measure_celery(servers: &Servers, figures: &mut Figures, plain: u32, runs: usize) -> Result<()> {
    let one_by_one = Arc::new(Estate::found(&servers.postgres, plain).await?);
    let batched = Arc::new(Estate::found(&servers.postgres, plain.max(4 * CELERY_BATCH)).await?);
    let (mut singles, mut batches, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for at in 1..=runs {
        let single = celery::run(&one_by_one, None).await?;
        let batch = celery::run(&batched, Some(CELERY_BATCH)).await?;
        eprintln!("Celery: run {at}: {:.0}/s, in batches {:.0}/s", single.per_s, batch.per_s);
        singles.push(single.per_s);
        batches.push(batch.per_s);
        memory = memory.max(single.memory).max(batch.memory);
    }
    figures.celery_per_s = median(&singles);
    figures.celery_batched_per_s = median(&batches);
    figures.fleet_over_celery = over(figures.fleet_per_s, figures.celery_per_s);
    figures.fleet_over_celery_batched = over(figures.fleet_per_s, figures.celery_batched_per_s);
    figures.memory_mib.insert("celery".to_owned(), memory);
    Ok(())
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
    let redis_at_end: Vec<f64> = runs.iter().map(|it| it.redis_bytes / each).collect();
    let more = median(&redis_at_end).map(|it| ("Redis once all are erased, bytes".to_owned(), it));
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
        more: more.into_iter().collect(),
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
pub(crate) fn over(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).map(|(one, other)| one / other)
}
