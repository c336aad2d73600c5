import type {ExecutionContext} from 'ava';
import test from 'ava';
import {simulationSchema} from '../../schemas/simulation.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

async function setup(t: ExecutionContext, crontab: string, place = '.hoody/crontab') {
  const git = await createGitWorld(t, {bare: true});
  await git.commit('main', {[place]: crontab});
  const {run} = await createCommandWorld(t);
  const simulate = (...words: string[]) => run(['simulate', '--repo', git.path, '--head', 'main', ...words]);
  return {
    simulate,
    json: async (...words: string[]) =>
      simulationSchema.parse(JSON.parse((await simulate('--json', ...words)).stdout)),
  };
}

const crontab = `# branchtab: name=fixed
30 2 * * * true
# branchtab: name=quarter
*/30 2 * * * true
# branchtab: name=noon timezone=UTC
0 12 * * * true
`;

test('says what runs when, and what the clock does to it in spring', async (t) => {
  const {simulate, json} = await setup(t, crontab);
  const days = ['--from', '2026-03-28', '--to', '2026-03-30', '--tz', 'Europe/Berlin'];
  const {runs, total, jobs, surprises, from, to} = await json(...days);
  t.deepEqual([from, to], ['2026-03-27T23:00:00.000Z', '2026-03-29T22:00:00.000Z']);
  t.deepEqual(
    runs.map(({at, wall, job, clock}) => [at, wall, job, clock]),
    [
      ['2026-03-28T01:00:00.000Z', '2026-03-28T02:00', 'quarter', 'usual'],
      ['2026-03-28T01:30:00.000Z', '2026-03-28T02:30', 'fixed', 'usual'],
      ['2026-03-28T01:30:00.000Z', '2026-03-28T02:30', 'quarter', 'usual'],
      ['2026-03-28T12:00:00.000Z', '2026-03-28T12:00', 'noon', 'usual'],
      ['2026-03-29T01:00:00.000Z', '2026-03-29T03:00', 'fixed', 'after_gap'],
      ['2026-03-29T12:00:00.000Z', '2026-03-29T12:00', 'noon', 'usual'],
    ],
  );
  t.is(total, 6);
  t.deepEqual(
    jobs.map(({job, runs}) => [job, runs]),
    [
      ['fixed', 2],
      ['quarter', 2],
      ['noon', 2],
    ],
  );
  t.deepEqual(
    surprises.map(({job, line}) => [job, line]),
    [
      ['fixed', 2],
      ['quarter', 4],
    ],
  );
  const {code, stdout} = await simulate(...days);
  t.is(code, 0);
  t.regex(
    stdout,
    /2026-03-29T01:00Z {2}2026-03-29 03:00 Europe\/Berlin {2}fixed +right after the clock skipped/,
  );
  t.regex(
    stdout,
    /clock quarter \(\.hoody\/crontab:4\): .*02:00 to 03:00 on 2026-03-29; the runs of that time are left out/,
  );
});

test('in autumn a time comes twice', async (t) => {
  const {json} = await setup(t, crontab);
  const {runs} = await json(
    '--from',
    '2026-10-25',
    '--to',
    '1d',
    '--tz',
    'Europe/Berlin',
    '--job',
    'quarter',
  );
  t.deepEqual(
    runs.map(({at, clock}) => [at, clock]),
    [
      ['2026-10-25T00:00:00.000Z', 'usual'],
      ['2026-10-25T00:30:00.000Z', 'usual'],
      ['2026-10-25T01:00:00.000Z', 'second_pass'],
      ['2026-10-25T01:30:00.000Z', 'second_pass'],
    ],
  );
});

test('shows the first runs and counts them all; of a monorepo it names a directory', async (t) => {
  const {simulate, json} = await setup(t, '* * * * * true\n61 * * * * false\n', 'a/.hoody/crontab');
  const words = ['--path', 'a/', '--from', '2026-01-01', '--limit', '2'];
  const simulation = await json(...words);
  t.is(simulation.runs.length, 2);
  t.is(simulation.total, 1440);
  t.is(simulation.issues[0]?.file, 'a/.hoody/crontab');
  const {code, stdout} = await simulate(...words);
  t.is(code, 1);
  t.regex(stdout, /and 1438 more; --limit 1440 shows all/);
  t.regex(stdout, /error a\/\.hoody\/crontab:2:1/);
});

test('what cannot be is refused in words', async (t) => {
  const {simulate} = await setup(t, '* * * * * true\n');
  for (const [words, code, message] of [
    [['--from', 'soon'], 2, /--from soon is no time/],
    [['--from', '2026-01-02', '--to', '2026-01-01'], 2, /not after/],
    [['--to', '4000d'], 2, /ten years/],
    [['--to', '1000d'], 2, /more than 500000 runs/],
    [['--tz', 'Mars/Olympus'], 2, /no time zone/],
    [['--job', 'nobody'], 2, /no job/],
    [['--limit', 'all'], 2, /no number/],
    [['--path', 'nowhere'], 4, /nowhere\/\.hoody/],
  ] as const) {
    const refused = await simulate(...words);
    t.is(refused.code, code, words.join(' '));
    t.regex(refused.stderr, message);
  }
});
