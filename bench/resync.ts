import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {newBranchRecord} from '../reconciler/branch-record.ts';
import {conditions} from '../reconciler/status.ts';
import {createGitWorld, type GitWorld, importBranches} from '../test/helpers/git-world.ts';
import {type Bench, type BenchOptions, percentile} from './result.ts';

const branches = 10_000;
const passes = 7;
const writesAtOnce = 200;

/** What `resync-controller.ts` prints, one line of JSON each. */
export type ResyncLine =
  | {readonly type: 'started'; readonly branches: number}
  | {readonly type: 'pass'; readonly ms: number; readonly git_processes: number; readonly work: number}
  | {readonly type: 'memory'; readonly rss_mb: number};

export const resyncBench: Bench = {
  name: 'resync',
  summary: 'a pass over 10,000 branches of which none changed, and a cold start with them',
  async run({progress, teardown}) {
    const git = await createGitWorld({teardown}, {bare: true});
    progress(`making ${branches} branches`);
    const names = Array.from({length: branches}, (_, index) => `team-${index % 100}/branch-${index}`);
    await importBranches(git, names, (branch) => ({
      '.hoody/crontab': `0 3 * * * echo ${branch}\n`,
      'README.md': `${branch}\n`,
    }));
    const recordsDirectory = join(git.directory, 'branches');
    await writeRecords(git, recordsDirectory);
    const refsMs = await listRefsMs(git);

    progress('starting a controller');
    const {coldStartMs, lines} = await runController({repository: git.path, recordsDirectory, teardown});
    const timed = lines.filter((line) => line.type === 'pass');
    const ms = percentile(
      timed.map((line) => line.ms),
      0.5,
    );
    const gitProcesses = Math.max(...timed.map((line) => line.git_processes));
    const memory = lines.find((line) => line.type === 'memory')?.rss_mb ?? Number.NaN;
    const work = timed.reduce((sum, line) => sum + line.work, 0);
    if (work > 0) throw new Error(`${work} branches were looked at although none changed`);
    return {
      name: 'resync',
      figures: [
        {label: 'a pass with no change, p50', value: ms, unit: 'ms', limit: 1000},
        {label: 'git processes of a pass', value: gitProcesses, unit: 'processes', limit: 4},
        {label: 'cold start', value: coldStartMs, unit: 'ms', limit: 3000},
        {
          label: 'a pass with no change, p50',
          value: ms,
          unit: 'ms',
          peer: {label: 'git for-each-ref alone', value: refsMs},
        },
        {label: 'resident memory of the controller', value: memory, unit: 'MB', limit: 250},
      ],
      values: {
        ms,
        git_processes: gitProcesses,
        cold_start_ms: coldStartMs,
        branches,
        pass_ms: timed.map((line) => line.ms),
        for_each_ref_ms: refsMs,
        rss_mb: memory,
      },
      notes: [`${branches} branches, ${timed.length} passes, no container provider`],
    };
  },
};

/**
 * Status documents as a controller that has applied every branch leaves them, or with `waiting` one that met the
 * repository and has made no container for them.
 */
export async function writeRecords(
  git: GitWorld,
  directory: string,
  {waiting = false}: {waiting?: boolean} = {},
): Promise<void> {
  await mkdir(directory, {recursive: true});
  const listing = await git.git(
    'for-each-ref',
    '--format=%(refname:lstrip=2) %(objectname) %(tree)',
    'refs/heads',
  );
  const seenAt = new Date().toISOString();
  const documents = listing.split('\n').map((line) => {
    const [branch = '', revision = '', tree = ''] = line.split(' ');
    const identity = {repository: git.path, path: '.', branch};
    const record = newBranchRecord({...identity, live: false});
    record.revision = revision;
    record.seen_at = seenAt;
    if (waiting) {
      record.pause = {reason: 'first_contact', since: seenAt};
      return record;
    }
    record.applied = {
      revision,
      root_tree: tree,
      environment: null,
      deployment: null,
      crontabs: {root: {sha256: 'a'.repeat(64), raw_etag: `"${'b'.repeat(32)}"`}},
    };
    record.conditions = conditions(
      {kind: 'synced', revision, drift: false, held: 0, rollback: null},
      [],
      Date.parse(seenAt),
    );
    record.history = [
      {at: seenAt, revision, outcome: 'applied', message: 'Put the crontab of root', duration_ms: 20},
    ];
    return record;
  });
  for (let next = 0; next < documents.length; next += writesAtOnce) {
    await Promise.all(
      documents
        .slice(next, next + writesAtOnce)
        .map((record) => writeFile(join(directory, `${record.key}.json`), `${JSON.stringify(record)}\n`)),
    );
  }
}

/** What git alone needs for the listing that a pass is made from. */
async function listRefsMs(git: GitWorld): Promise<number> {
  const times: number[] = [];
  for (let look = 0; look < passes; look += 1) {
    const startMs = performance.now();
    await git.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads');
    times.push(performance.now() - startMs);
  }
  return percentile(times, 0.5);
}

/** In a process of its own: the cold start counts from its first instruction, loading of the program included. */
async function runController({
  repository,
  recordsDirectory,
  teardown,
}: {
  repository: string;
  recordsDirectory: string;
  teardown: BenchOptions['teardown'];
}): Promise<{coldStartMs: number; lines: ResyncLine[]}> {
  const startMs = performance.now();
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, 'resync-controller.ts'), repository, recordsDirectory, String(passes)],
    {stdio: ['ignore', 'pipe', 'inherit']},
  );
  teardown(() => child.kill('SIGKILL'));
  if (child.stdout === null) throw new Error('the controller has no output');
  const exited = once(child, 'exit');
  const lines: ResyncLine[] = [];
  let coldStartMs = Number.NaN;
  for await (const text of createInterface({input: child.stdout})) {
    const line = JSON.parse(text) as ResyncLine;
    if (line.type === 'started') coldStartMs = performance.now() - startMs;
    if (line.type === 'started' && line.branches !== branches)
      throw new Error(`the controller knows ${line.branches} of ${branches} branches`);
    lines.push(line);
  }
  const [code] = await exited;
  if (code !== 0) throw new Error(`the controller of the bench ended with ${code}`);
  return {coldStartMs, lines};
}
