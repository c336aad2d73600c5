import {join} from 'node:path';
import type {SeedRequest, SeedResult} from '../../schemas/data-archive.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Clock} from '../platform/clock.ts';
import {canonicalPath} from '../platform/directory-tree.ts';
import {stat} from '../platform/files.ts';
import {startJob} from '../platform/job-process.ts';
import type {SecretMask} from '../platform/secret-mask.ts';

const ownerMayExecute = 0o100;
const keptBytes = 4 * 1024;

/**
 * Runs a file of the workspace with the environment of jobs in the data directory: by itself where it may be
 * executed, else by `sh`. Resolves when it and what it left in its group have ended. Throws FILE_NOT_FOUND.
 */
export async function runSeed(
  {script, timeout_ms}: SeedRequest,
  {
    workspace,
    home,
    variables,
    mask,
    clock,
  }: {
    workspace: string;
    home: string;
    variables: Readonly<Record<string, string>>;
    mask: SecretMask;
    clock: Clock;
  },
): Promise<SeedResult> {
  const path = await plainFile(workspace, script);
  const isExecutable = ((await stat(path)).mode & ownerMayExecute) !== 0;
  const job = startJob({
    command: isExecutable ? [path] : ['/bin/sh', path],
    directory: home,
    environment: {...variables, HOME: home, SHELL: '/bin/sh', USER: 'root', LOGNAME: 'root'},
    stdin: null,
    identity: null,
    keptBytes,
    mask,
  });
  const over = new AbortController();
  const timeUp = clock.sleep(timeout_ms, {signal: over.signal}).then(
    () => job.signal('SIGKILL'),
    () => {
      // It ended in time.
    },
  );
  const how = await job.ended;
  over.abort();
  await timeUp;
  job.signal('SIGKILL');
  await job.drained;
  const {stdout, stderr} = job.output();
  if (how.kind === 'failed_to_start') return {exit_code: null, output: how.message};
  return {exit_code: how.kind === 'exited' ? how.code : null, output: `${stdout}${stderr}`.slice(-keptBytes)};
}

/** A file of the branch, also where a link of the branch leads to it; nothing outside of its tree. */
async function plainFile(workspace: string, script: string): Promise<string> {
  const notThere = () =>
    new AppError(
      'FILE_NOT_FOUND',
      `The branch has no file ${JSON.stringify(script)}, which \`data: seed:\` names.`,
    );
  const root = await canonicalPath(workspace);
  const path = await canonicalPath(join(root, script)).catch((cause: unknown) => {
    throw new AppError('FILE_NOT_FOUND', notThere().message, {cause});
  });
  if (!path.startsWith(`${root}/`) || !(await stat(path)).isFile()) throw notThere();
  return path;
}
