import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const linesOf = (text: string, name: string) =>
  text.split('\n').filter((line) => line.startsWith(`branchtab_cron_${name}`));

test('runs are counted by entry and status, without their commands', async (t) => {
  const {cron, clock, put, finished, runs} = await createCronWorld(t);
  await put('* * * * * echo secret\n*/2 * * * * exit 3\n');
  await clock.advance(2 * 60_000);
  await finished(3);
  const [good, bad] = ['echo secret', 'exit 3'].map((command) =>
    (async () => (await runs()).find((run) => run.command === command)?.entry_id)(),
  );
  const text = cron.metrics();
  t.deepEqual(
    linesOf(text, 'runs_total').sort(),
    [
      `branchtab_cron_runs_total{entry_id="${await good}",status="succeeded"} 2`,
      `branchtab_cron_runs_total{entry_id="${await bad}",status="failed"} 1`,
    ].sort(),
  );
  t.false(text.includes('secret'));
});

test('skipped runs are counted', async (t) => {
  const {cron, clock, put} = await createCronWorld(t, {state: 'paused'});
  await put('* * * * * x\n');
  await clock.advance(60_000);
  t.regex(linesOf(cron.metrics(), 'runs_total')[0] ?? '', /status="skipped"\} 1$/);
});

test('lateness and duration are histograms whose last bucket holds all', async (t) => {
  const {cron, clock, put, finished} = await createCronWorld(t);
  await put('* * * * * true\n');
  await clock.advance(3 * 60_000);
  await finished(3);
  const text = cron.metrics();
  for (const name of ['run_lateness_seconds', 'run_duration_seconds']) {
    const buckets = linesOf(text, `${name}_bucket`);
    t.is(buckets.at(-1), `branchtab_cron_${name}_bucket{le="+Inf"} 3`);
    t.deepEqual(linesOf(text, `${name}_count`), [`branchtab_cron_${name}_count 3`]);
    const values = buckets.map((line) => Number(line.split(' ')[1]));
    t.deepEqual(
      values,
      values.toSorted((a, b) => a - b),
    );
  }
});

test('the next run of each entry is a gauge', async (t) => {
  const {cron, put} = await createCronWorld(t);
  await put('30 9 * * * x\n0 0 30 2 * never\n');
  const lines = linesOf(cron.metrics(), 'next_run_timestamp_seconds{');
  t.is(lines.length, 1);
  t.is(Number(lines[0]?.split(' ')[1]), Date.parse('2026-05-18T09:30:00Z') / 1000);
});

test('every metric says what it is', async (t) => {
  const {cron} = await createCronWorld(t);
  const text = cron.metrics();
  t.true(text.endsWith('\n'));
  const named = [...text.matchAll(/^# TYPE (\S+) (?:counter|gauge|histogram)$/gm)].map(([, name]) => name);
  t.deepEqual(
    named,
    [...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name),
  );
  t.is(named.length, 5);
});
