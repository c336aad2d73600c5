import {join} from 'node:path';
import {createDeployClient, type DeployClient} from '../../api/deploy-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {readTextIfPresent} from '../../runtime/platform/durable-file.ts';
import {formatDuration} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import {readControllerFile} from '../controller-file.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {
  condition,
  followDeployment,
  readyMessage,
  requireWatched,
  type Verdict,
} from '../follow-deployment.ts';
import {type PushOptions, readPushOptions} from '../push-options.ts';
import type {HookName} from '../server-hooks.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

export interface HookRunFlags {
  readonly as: string;
  readonly state?: string;
  readonly controller?: string;
  readonly tokenFile?: string;
}

/** A branch that moved; `commit` is null where it is gone. */
interface Move {
  readonly branch: string;
  readonly commit: string | null;
}

/** With more than these at once the controller is told of the repository as a whole. */
const mostMoves = 20;
/** Git hands over all refs of a push. */
const mostInputBytes = 64 * 1024 * 1024;

/**
 * What the hooks of `branchtab hook install` call. A push fails for one reason only: that it was to be skipped and the
 * controller could not be told so.
 */
export async function runHook(
  name: HookName,
  flags: HookRunFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const say = (text: string) => terminal.out(`branchtab: ${printable(text)}\n`);
  const options = readPushOptions(environment);
  const moves = readMoves(await readInput());
  if (moves.length === 0) return exitCodes.ok;
  try {
    const client = await connectAs(flags);
    if (name === 'pre-receive') {
      if (options.skip) await skip(client, flags.as, moves);
      return exitCodes.ok;
    }
    for (const option of options.unknown)
      say(`${option} is no push option; there are branchtab.skip and branchtab.wait=<duration>.`);
    await tell(client, {repository: flags.as, moves, options, say});
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (name === 'pre-receive') {
      say(`the push is refused: what is not to run could not be left out. ${error.message}`);
      say('Push without -o branchtab.skip to let it run.');
      return exitCodes.failed;
    }
    say(`${error.message} The push itself is done.`);
  }
  return exitCodes.ok;
}

async function skip(client: DeployClient, repository: string, moves: readonly Move[]): Promise<void> {
  for (const {branch, commit} of moves) {
    if (commit === null) continue;
    requireWatched(await client.skip({repository, branch, commit}), repository);
  }
}

async function tell(
  client: DeployClient,
  {
    repository,
    moves,
    options: {skip: isSkipped, waitMs},
    say,
  }: {repository: string; moves: readonly Move[]; options: PushOptions; say: (text: string) => void},
): Promise<void> {
  if (moves.length > mostMoves) {
    requireWatched(await client.tellAll(repository), repository);
    say(`the controller looks at ${moves.length} branches.`);
    return;
  }
  const label = ({branch, commit}: Move) => `${branch} ${commit === null ? 'deleted' : commit.slice(0, 8)}`;
  if (waitMs === null || isSkipped) {
    for (const move of moves) {
      requireWatched(await client.tell({repository, ...move}), repository);
      say(isSkipped && move.commit !== null ? `${label(move)}: skipped` : label(move));
    }
    return;
  }
  await Promise.all(
    moves.map(async (move) => {
      const onProgress = (message: string) => say(`${label(move)}: ${message}`);
      const followed = {clock: systemClock, timeoutMs: waitMs, onProgress};
      const verdict = await followDeployment(client, {repository, ...move}, followed);
      for (const line of verdictWords(verdict)) say(`${label(move)}: ${line}`);
    }),
  );
}

function verdictWords(verdict: Verdict): string[] {
  switch (verdict.kind) {
    case 'active':
      return verdict.branches.map(({active_ms, next_run}) => {
        const took = active_ms === null ? '' : ` after ${formatDuration(active_ms)}`;
        const next = next_run === null ? 'nothing is due' : `next run ${next_run.at}`;
        return `active${took}, ${next}`;
      });
    case 'stalled':
      return verdict.branches.flatMap((branch) => {
        const issues = condition(branch, 'Stalled')?.issues ?? [];
        const places = issues.map(({file, line, column, message}) => `${file}:${line}:${column} ${message}`);
        return [`STALLED. ${readyMessage(branch)}`, ...places.slice(1)];
      });
    case 'held':
      return verdict.branches.map(readyMessage);
    case 'unserved':
      return ['not served: it has no .hoody directory, or `branches` of branchtab.yaml leaves it out'];
    case 'superseded':
      return [verdict.by === null ? 'gone meanwhile' : `${verdict.by.slice(0, 8)} came meanwhile`];
    case 'gone':
      return ['its container is gone'];
    case 'still_there':
      return [`git has it at ${verdict.commit.slice(0, 8)} again`];
    case 'timeout':
      return [`not done yet. ${verdict.message} \`branchtab status\` shows what is in the way.`];
    default:
      return verdict satisfies never;
  }
}

/** `<old> <new> <ref>` lines. Of a ref that is named twice the last one holds. */
function readMoves(text: string): Move[] {
  const moves = new Map<string, Move>();
  for (const line of text.split('\n')) {
    const match = /^\S+ ([0-9a-f]{40}|[0-9a-f]{64}) refs\/heads\/(.+)$/s.exec(line);
    if (match === null) continue;
    const [, commit = '', branch = ''] = match;
    moves.set(branch, {branch, commit: /^0+$/.test(commit) ? null : commit});
  }
  return [...moves.values()];
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > mostInputBytes) throw new AppError('PAYLOAD_TOO_LARGE', 'The push has too many refs.');
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function connectAs({state, controller, tokenFile}: HookRunFlags): Promise<DeployClient> {
  if (controller !== undefined && tokenFile !== undefined) {
    const token = await tokenIn(tokenFile);
    return createDeployClient({url: controller, token: async () => token});
  }
  // What this user may not read is as good as none to it.
  const known = state === undefined ? null : await readControllerFile(state).catch(() => null);
  if (state === undefined || known === null)
    throw new AppError(
      'CONTROLLER_UNREACHABLE',
      `No controller runs on ${state} that this user may know of; one that starts looks at the repository.`,
    );
  const token = await tokenIn(join(state, 'token'));
  return createDeployClient({url: known.url, token: async () => token});
}

async function tokenIn(file: string): Promise<string> {
  const token = (await readTextIfPresent(file).catch(() => null))?.trim() ?? '';
  if (token !== '') return token;
  throw new AppError(
    'UNAUTHENTICATED',
    `The token in ${file} cannot be read by the user of this hook. Install it with --controller and a --token-file of its own.`,
  );
}
