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

test('where both sides have changes it is the plan of what merging makes', async (t) => {
  const {git, plan, json} = await setup(t, {
    '.hoody/crontab': `0 5 * * * ./own.sh\n${base['.hoody/crontab']}`,
  });
  await git.commit('main', {'.hoody/crontab': `${base['.hoody/crontab']}0 7 * * * ./later.sh\n`});
  const objects = await git.git('count-objects');
  const change = await json();
  t.is(change.merge.kind, 'merged');
  t.deepEqual(
    [change.added, change.removed].map((jobs) => jobs.map(({command}) => command)),
    [['./own.sh'], []],
  );
  t.deepEqual([change.totals.before.jobs, change.totals.after.jobs], [4, 5]);
  const {stdout} = await plan();
  t.regex(stdout, /main has changes that feature lacks: this is what merging makes of both/);
  t.regex(stdout, /once merged, main runs 5 jobs, 123 runs a day \(now 4 jobs, 122 runs a day\)/);
  // Nothing was written to the repository.
  t.is(await git.git('count-objects'), objects);
  await git.commit('main', {'.hoody/crontab': '0 6 * * * ./other.sh\n'});
  const conflicting = await plan();
  t.regex(conflicting.stdout, /warning merging conflicts in \.hoody\/crontab: this is feature as it is/);
  const merged = await plan('--base', 'feature', '--head', 'main~1');
  t.notRegex(merged.stdout, /conflicts/);
  const back = await plan('--base', 'main', '--head', 'main~2');
  t.regex(back.stdout, /main has all of main~2 already: this is what going back to it changes/);
});

test('a plan of what is merged is empty', async (t) => {
  const {git, json} = await setup(t, {
    '.hoody/crontab':
      '5 5 * * * /srv/jobs/billing.sh\n@daily true\n0 * * * * curl -fsS http://hoody-exec/healthz\n',
  });
  t.deepEqual(
    (await json()).same.map(({name}) => name),
    ['curl'],
  );
  t.not((await json()).added.length, 0);
  await git.git('update-ref', 'refs/heads/main', 'refs/heads/feature');
  const {added, changed, removed, scripts, same} = await json();
  t.deepEqual([added, changed, removed], [[], [], []]);
  t.deepEqual(scripts, {added: [], changed: [], removed: []});
  t.is(same.length, 3);
});

test('files are looked for where the command will look for them', async (t) => {
  const {json} = await setup(t, {
    '.hoody/crontab': `0 1 * * * /srv/jobs/billing.sh
0 2 * * * python3 /srv/jobs/gone.py
0 3 * * * cd /srv && . "$HOODY_WORKSPACE/jobs/plain.sh"
0 4 * * * \${HOODY_WORKSPACE}/jobs/plain.sh
0 5 * * * ./jobs/billing.sh
0 6 * * * cat /srv/jobs/plain.sh > /srv/out.txt
0 7 * * * ls /srv/jobs && /usr/bin/env true
0 8 * * * python3.11 -V
`.replace('\\$', '$'),
    'jobs/plain.sh': 'echo\n',
  });
  t.deepEqual(
    (await json()).warnings.map(({line, code}) => [line, code]),
    [
      [2, 'file_missing'],
      [4, 'file_not_executable'],
      [5, 'file_elsewhere'],
    ],
  );
});

test('two branches that ask for the same address in the same minute are named, their own services are not', async (t) => {
  const crontab = (path: string) =>
    `30 2 * * * curl -fsS https://billing.example/${path} --retry 3\n30 2 * * * curl -fsS http://localhost/x\n`;
  const {git, plan, json} = await setup(t, {'.hoody/crontab': crontab('run?all=1')});
  await git.commit('other', {
    '.hoody/crontab': `30 2 * * * wget https://billing.example/run?all=1\n${crontab('else')}`,
  });
  const {collisions} = await json();
  t.deepEqual(
    collisions.map(({job, branches, url}) => [job.line, branches, url]),
    [[1, ['other'], 'https://billing.example/run?all=1']],
  );
  t.regex(
    (await plan()).stdout,
    /crontab:1 other asks for https:\/\/billing\.example\/run\?all=1 in the same minute/,
  );
});

test("the load of a day has every minute, and runs are shown in the repository's zone", async (t) => {
  const {plan, json} = await setup(t, {'.hoody/crontab': '0 * * * * a\n0 * * * * b\n30 12 * * * c\n'});
  const {load, busiest} = await json();
  t.is(load.minutes.length, 1440);
  t.is(
    load.minutes.reduce((sum, jobs) => sum + jobs, 0),
    49,
  );
  t.is(busiest[0]?.jobs, 2);
  const {stdout} = await plan('--tz', 'Asia/Kolkata');
  t.regex(stdout, /load by hour of the next day from 20\S+: [▁▂▃▄▅▆▇█]{24}/);
  t.regex(stdout, /\+ c: [^\n]*\n {4}next [^\n]*T07:00Z.*; in Asia\/Kolkata .* 12:30/);
});

test('a thousand lines are planned in little time', async (t) => {
  const lines = (minute: number) =>
    Array.from({length: 1000}, (_, i) => `${(i + minute) % 60} * * * * ./jobs/j${i}.sh\n`).join('');
  const {git, json} = await setup(t, {'.hoody/crontab': `CRON_TZ=Europe/Berlin\n${lines(1)}`});
  await git.commit('main', {'.hoody/crontab': `CRON_TZ=Europe/Berlin\n${lines(0)}`}, 'main');
  for (const other of ['a', 'b', 'c']) await git.commit(other, {'.hoody/crontab': lines(2)});
  const startedMs = performance.now();
  t.is((await json()).changed.length, 1000);
  // Half a second of it on a machine that does nothing else.
  t.true(performance.now() - startedMs < 20_000);
});
