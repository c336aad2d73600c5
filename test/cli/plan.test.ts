import type {ExecutionContext} from 'ava';
import test from 'ava';
import {scheduleChangeSchema} from '../../schemas/schedule-change.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createGitWorld, type WorldFiles} from '../helpers/git-world.ts';

const script = (content: string) => ({mode: 'executable', content}) as const;
const base: WorldFiles = {
  '.hoody/crontab': [
    '0 2 * * * ./jobs/billing.sh',
    '*/15 * * * * ./jobs/sync-stripe.py --all',
    '@hourly curl -fsS http://hoody-exec/healthz',
    '',
  ].join('\n'),
  '.hoody/exec/healthz.ts': 'return "ok";\n',
  'jobs/billing.sh': script('#!/bin/sh\n'),
  'jobs/sync-stripe.py': script('#!/usr/bin/python3\n'),
};

async function setup(t: ExecutionContext, head: WorldFiles, options: {bare?: boolean} = {}) {
  const git = await createGitWorld(t, {bare: options.bare ?? true});
  await git.commit('main', base);
  await git.commit('feature', head);
  const {run} = await createCommandWorld(t);
  const plan = (...words: string[]) => run(['plan', '--repo', git.path, '--head', 'feature', ...words]);
  return {
    git,
    run,
    plan,
    json: async () => scheduleChangeSchema.parse(JSON.parse((await plan('--json')).stdout)),
  };
}

test('says in words what comes, changes and goes', async (t) => {
  const {plan, json} = await setup(t, {
    '.hoody/crontab': [
      '*/5 * * * * ./jobs/sync-stripe.py --all',
      '@hourly curl -fsS http://hoody-exec/healthz',
      'CRON_TZ=Europe/Berlin',
      '30 6 * * 1-5 ./jobs/report.sh',
      '',
    ].join('\n'),
    'jobs/report.sh': script('#!/bin/sh\n'),
  });
  const change = await json();
  t.deepEqual(
    change.changed.map(({before, after, what}) => [before.schedule, after.schedule, what]),
    [['*/15 * * * *', '*/5 * * * *', ['schedule']]],
  );
  t.deepEqual(
    [change.added, change.removed, change.same].map((jobs) => jobs.map(({command}) => command)),
    [['./jobs/report.sh'], ['./jobs/billing.sh'], ['curl -fsS http://hoody-exec/healthz']],
  );
  t.is(change.changed[0]?.after.runs_per_day, 288);
  t.true(change.added.every(({next}) => next.length === 5));
  const {code, stdout} = await plan();
  t.is(code, 0);
  t.regex(stdout, /~ sync-stripe: Every 15 minutes → Every 5 minutes, 96 runs → 288 runs a day\n {4}next 20/);
  t.regex(stdout, /\+ report: .*Monday through Friday \(Europe\/Berlin\), \d.*\n.*in Europe\/Berlin .*06:30/);
  t.regex(stdout, /- billing: was At 02:00 every day, 1 run a day/);
  t.regex(stdout, /= 1 job is the same on both/);
  // The clock of Berlin changes within the year; 06:30 is not in the gap.
  t.notRegex(stdout, /clock/);
});

test('a job whose script changed is a changed job', async (t) => {
  const {json} = await setup(t, {
    '.hoody/exec/healthz.ts': 'return "fine";\n',
    'jobs/billing.sh': script('#!/bin/sh\n:\n'),
  });
  const change = await json();
  t.deepEqual(
    change.changed.map(({after, what}) => [after.name, what]),
    [
      ['billing', ['script']],
      ['curl', ['script']],
    ],
  );
  t.deepEqual(change.scripts, {added: [], changed: ['healthz.ts'], removed: []});
});

test('issues are named with file, line and column, and the exit code is 1', async (t) => {
  const {plan} = await setup(t, {
    '.hoody/crontab': '0 2 * * * ok\n61 * * * * bad\n',
    '.hoody/exec/x.ts': 'return (\n',
  });
  const {code, stdout} = await plan();
  t.is(code, 1);
  t.regex(stdout, /error \.hoody\/crontab:2:1 /);
  t.regex(stdout, /error \.hoody\/exec\/x\.ts:\d+:\d+ /);
});

test('warns of files that are missing or not executable, of summer time, and of what another branch runs too', async (t) => {
  const {git, plan} = await setup(t, {
    '.hoody/crontab':
      'CRON_TZ=America/New_York\n0 2 * * * ./jobs/billing.sh\n30 2 * * * ./jobs/gone.sh\n0 4 * * * ./jobs/plain.sh\n',
    'jobs/plain.sh': 'echo\n',
  });
  await git.commit('other', {'.hoody/crontab': '0 0 * * * x/y\n30 2 * * * TZ=x ./jobs/gone.sh\n'});
  await git.commit('same', {'.hoody/crontab': 'CRON_TZ=America/New_York\n30 2 * * * ./jobs/gone.sh\n'});
  const {stdout} = await plan();
  t.regex(stdout, /crontab:3:\d+ There is no file `jobs\/gone\.sh`/);
  t.regex(stdout, /crontab:4:\d+ `jobs\/plain\.sh` is not executable; run: git update-index/);
  t.regex(stdout, /crontab:3:\d+ In America\/New_York the clock skips 02:00 to 03:00/);
  t.regex(stdout, /crontab:3 same runs the same command in the same minute/);
  t.notRegex(stdout, /other runs the same/);
});

test('Markdown holds no markup that comes from the branch', async (t) => {
  const {plan} = await setup(t, {
    '.hoody/crontab': '# branchtab: name=x\n0 2 * * * echo "<img src=x>|[a](b)" @everyone\n',
  });
  const {stdout} = await plan('--markdown');
  t.regex(
    stdout,
    /^### Schedule: `main` → `feature`\n\n- \*\*added\*\* `x`: At 02:00 every day, 1 run a day; next \d{4}-/,
  );
  t.notRegex(stdout, /<img|\]\(b\)|@everyone/);
});

test('the default is HEAD against the default branch; without .hoody everything is new', async (t) => {
  const git = await createGitWorld(t);
  await git.commit('main', {'README.md': 'x\n'});
  await git.git('checkout', '--quiet', '-b', 'first');
  await git.commit('first', base);
  const {run} = await createCommandWorld(t);
  const {code, stdout} = await run(['plan', '--repo', git.path]);
  t.is(code, 0, stdout);
  t.regex(stdout, /^main .* → HEAD/);
  t.regex(stdout, /\+ billing/);
});

test('an unknown commit exits 4, an unknown zone 2', async (t) => {
  const {plan} = await setup(t, {});
  const unknown = await plan('--base', 'nowhere', '--json');
  t.is(unknown.code, 4);
  t.is(JSON.parse(unknown.stderr).code, 'REVISION_NOT_FOUND');
  t.is((await plan('--base', '--output=/tmp/x')).code, 4);
  t.is((await plan('--tz', 'Mars/Olympus')).code, 2);
});

test('of a monorepo it is the plan of one directory, and files are named from the top', async (t) => {
  const git = await createGitWorld(t, {bare: true});
  await git.commit('main', {
    'services/a/.hoody/crontab': '0 2 * * * true\n',
    'services/b/.hoody/crontab': '',
  });
  await git.commit('feature', {'services/a/.hoody/crontab': '0 3 * * * true\n* * *\n'});
  const {run} = await createCommandWorld(t);
  const words = ['plan', '--repo', git.path, '--head', 'feature', '--path'];
  const planned = await run([...words, 'services/a', '--json']);
  const change = scheduleChangeSchema.parse(JSON.parse(planned.stdout));
  t.is(change.changed[0]?.after.schedule, '0 3 * * *');
  t.is(change.issues[0]?.file, 'services/a/.hoody/crontab');
  const absent = await run([...words, 'services/none']);
  t.regex(absent.stderr, /neither main nor feature has services\/none\/\.hoody/);
});
