import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const twoDaysMs = 48 * 60 * 60_000;

test('S36 S95: ten pushes come while a probe of 48 hours writes its log: it goes on, and not a line is lost', async (t) => {
  t.timeout(180_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const crontab = (count: number) => `# push ${count}\n${count} 3 1 1 * true\n`;
  const controller = await world.up('--repo', repository.path);
  const first = await repository.commit('p', {'.hoody/crontab': crontab(0), 'notes.txt': '0\n'});
  const {container} = await controller.until('p', active(first));
  if (container === null) throw new Error('no container');
  const entries = `${container.urls.cron}/users/root/entries`;
  const ask = async (url: string, init?: RequestInit) => {
    const answer = await fetch(url, init);
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as {id: string; status: string};
  };

  const probe = await ask(entries, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({
      schedule: '0 0 1 1 *',
      command: 'n=0; until [ -e stop ]; do n=$((n + 1)); echo $n >> probe.log; sleep 0.02; done',
      comment: 'probe',
      expires_at: new Date(Date.now() + twoDaysMs).toISOString(),
    }),
  });
  const run = await ask(`${entries}/${probe.id}/run`, {method: 'POST'});
  for (let count = 1; count <= 10; count += 1) {
    const commit = await repository.commit('p', {
      '.hoody/crontab': crontab(count),
      '.hoody/exec/stop.ts': `await Bun.write('stop', '${count}');\nreturn ${count};\n`,
      'notes.txt': `${count}\n`,
    });
    const branch = await controller.until('p', active(commit));
    t.is(branch.container?.id, container.id);
  }
  const stopped = await fetch(`${container.urls.exec}/stop`);
  t.is(await stopped.text(), '10');
  await (await fetch(`${container.urls.cron}/users/root/runs/${run.id}/output?follow=1`)).text();

  t.like(await ask(`${container.urls.cron}/users/root/runs/${run.id}`), {status: 'succeeded', exit_code: 0});
  t.like(await ask(`${entries}/${probe.id}`), {enabled: true, comment: 'probe'});
  const data = join(world.stateDirectory, 'containers', container.id.replace('ctr_', ''), 'data');
  const lines = (await readFile(join(data, 'probe.log'), 'utf8')).trimEnd().split('\n');
  t.deepEqual(
    lines,
    lines.map((_, index) => String(index + 1)),
  );
});

test('S36: a secret of live is in nothing that a job of a preview can read or print', async (t) => {
  t.timeout(180_000);
  const planted = 'sk_live_planted_4711';
  const world = await createControllerWorld(t);
  const directory = join(world.stateDirectory, '..');
  const config = join(directory, 'branchtab.yaml');
  await writeFile(join(directory, 'key'), `${planted}\n`, {mode: 0o600});
  await writeFile(
    config,
    `environments: [{branches: live, secrets: {KEY: {from_file: ${JSON.stringify(join(directory, 'key'))}}}}]\n`,
  );
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  // Split in two, or the search would find its own words.
  const search =
    'set -- sk_live_ planted_4711; printenv; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n";' +
    ' echo found:; grep -rslaF --exclude-dir=sys --exclude-dir=proc --exclude-dir=usr "$1$2" / | head -20; echo searched';
  const files = {'.hoody/crontab': `# branchtab: name=search\n0 3 1 1 * ${search.replaceAll('%', '\\%')}\n`};
  const live = await repository.commit('main', files);
  const preview = await repository.commit('p', files);
  const controller = await world.up('--repo', repository.path, '--config', config);
  await controller.until('main', active(live));
  const branch = await controller.until('p', active(preview));
  if (branch.container?.level === 'plain') {
    console.log('SKIP level=plain reason=its jobs read what their user may read');
    t.true(branch.container.gaps.length > 0);
    return;
  }

  const ran = await world.run('run', 'p', 'search');
  t.is(ran.code, 0, ran.stderr);
  t.false(ran.stdout.includes(planted), ran.stdout);
  t.regex(ran.stdout, /^found:\nsearched$/m);
  for (const words of [
    ['status', 'p', '--json'],
    ['env', 'p'],
    ['logs', 'p'],
    ['history', 'p'],
    ['env', 'main'],
  ])
    t.false((await world.run(...words)).stdout.includes(planted), words.join(' '));
});
