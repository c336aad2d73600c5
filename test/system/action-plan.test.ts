import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createActionWorld, payloadOf, pullRequestPayload} from '../helpers/action-world.ts';
import {createGitWorld, type GitWorld} from '../helpers/git-world.ts';

const command = {command: 'plan'};

/** What actions/checkout does for a pull request: the merge, so many commits deep. */
async function checkOut(git: GitWorld, merge: string, depth: number, directory: string): Promise<string> {
  await mkdir(directory);
  const at = (...words: string[]) => git.git('-C', directory, ...words);
  await git.git('init', '--quiet', directory);
  await at('fetch', '--quiet', `--depth=${depth}`, `file://${git.path}`, merge);
  await at('checkout', '--quiet', '--detach', 'FETCH_HEAD');
  return directory;
}

test('of a pull request it is what merging makes of the schedule, marks on its lines included', async (t) => {
  t.timeout(120_000);
  const git = await createGitWorld(t);
  const action = await createActionWorld(t);
  const base = await git.commit('main', {'.hoody/crontab': '0 * * * * echo hourly\n'});
  const head = await git.commit('feature', {
    '.hoody/crontab': '*/5 * * * * echo hourly\n0 2 * * * ./gone.sh\n',
  });
  const newer = await git.commit('main', {'README.md': 'x\n'});
  await git.git('checkout', '--quiet', '--detach', newer);
  await git.git('merge', '--quiet', '--no-edit', head);
  const merge = await git.git('rev-parse', 'HEAD');
  await git.git('config', 'uploadpack.allowAnySHA1InWant', 'true');
  const payload = pullRequestPayload('opened', {head: ['feature', head], base: ['main', base], isFork: true});
  const run = (workspace: string, inputs: Record<string, string> = command) =>
    action.run({event: 'pull_request', payload, ref: 'refs/pull/1/merge', sha: merge, inputs, workspace});

  const two = await run(await checkOut(git, merge, 2, join(action.directory, 'two')));
  t.is(two.code, 0, two.log);
  t.is(two.outputs.state, 'planned');
  t.regex(two.outputs.plan ?? '', /^### Schedule: `main` → `feature`/);
  t.regex(two.summary, /- \*\*changed\*\* `echo`: Every hour → Every 5 minutes/);
  t.regex(
    two.log,
    /^::warning file=\.hoody\/crontab,line=2,col=\d+,title=[a-z_]+::There is no file `gone\.sh`/m,
  );
  t.notRegex(two.log, /fetch-depth/);

  const one = await run(await checkOut(git, merge, 1, join(action.directory, 'one')));
  t.is(one.code, 0, one.log);
  t.regex(one.log, /^::notice::No commit to compare with .*fetch-depth: 0/m);
  t.regex(one.outputs.plan ?? '', /- \*\*added\*\* `echo`/);

  const forked = await run(join(action.directory, 'two'), {controller: 'http://127.0.0.1:9'});
  t.deepEqual([forked.code, forked.outputs.state], [0, 'skipped']);
  const empty = await run(action.directory);
  t.is(empty.code, 1);
  t.regex(empty.log, /^::error::/m);
});

test('errors of a commit are marked and fail the step; text of the branch becomes no command', async (t) => {
  t.timeout(120_000);
  const git = await createGitWorld(t);
  const action = await createActionWorld(t);
  const base = await git.commit('main', {'.hoody/crontab': '0 * * * * echo hourly\n'});
  const after = await git.commit('x', {
    '.hoody/crontab': '61 * * * * echo a\n0 * * * * echo ::error::injected%0A\n',
    'other/.hoody/crontab': '0 1 * * * ./missing.sh\n',
    '.hoody/exec/::warning file=a,b.ts': 'return 1;\n',
  });
  const run = (inputs: Record<string, string>) =>
    action.run({
      event: 'push',
      payload: payloadOf('push', {ref: 'refs/heads/x', before: base, after, deleted: false}),
      sha: after,
      inputs,
      workspace: git.path,
    });
  const {code, log, outputs} = await run(command);
  t.is(code, 1);
  t.is(outputs.state, 'stalled');
  t.regex(log, /^::error file=\.hoody\/crontab,line=1,col=1,title=schedule_invalid::/m);
  t.regex(log, /^::error::The branch would stall/m);
  for (const line of log.split('\n')) t.notRegex(line, /^::error::injected|^::warning file=a,b/);
  const below = await run({...command, path: './other/'});
  t.is(below.code, 0, below.log);
  t.regex(below.log, /^::warning file=other\/\.hoody\/crontab,line=1,/m);
  t.regex(
    (await run({...command, path: 'nowhere'})).log,
    /^::error::The input path: the repository has no nowhere/m,
  );
});

test('a plan of 1,000 changed lines counts each of them', async (t) => {
  t.timeout(120_000);
  const git = await createGitWorld(t);
  const action = await createActionWorld(t);
  const lines = (minute: number) =>
    Array.from(
      {length: 1000},
      (_, job) => `${(job + minute) % 60} ${job % 24} * * * ./jobs/${job}.sh\n`,
    ).join('');
  const base = await git.commit('main', {'.hoody/crontab': lines(0)});
  const after = await git.commit('main', {'.hoody/crontab': lines(1)});
  const payload = payloadOf('push', {ref: 'refs/heads/main', before: base, after, deleted: false});
  const startedMs = performance.now();
  const {code, outputs} = await action.run({event: 'push', payload, inputs: command, workspace: git.path});
  t.log(`${Math.round(performance.now() - startedMs)} ms with the start of node and git`);
  t.is(code, 0);
  const shown = outputs.plan?.match(/^- \*\*changed\*\*/gm)?.length ?? 0;
  t.is(shown + Number(/^- and (\d+) more$/m.exec(outputs.plan ?? '')?.[1]), 1000);
});
