import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {readingEnvironment} from '../../reconciler/sources/git-environment.ts';
import {createGit} from '../../runtime/platform/git-process.ts';
import {durationSchema} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Promotion, PromotionPull} from '../../schemas/hand-change.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** `branchtab keep`: what is changed by hand stays for a while. */
export async function keep(
  branch: string,
  flags: ConnectionFlags & {for?: string; reason?: string; end?: boolean; json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if ((flags.for === undefined) !== (flags.end === true))
    throw new AppError('CONFIG_INVALID', 'Say for how long with --for 8h, or end it with --end.');
  const client = await connect(flags, environment);
  const changed =
    flags.for === undefined
      ? await client.endKeep(branch)
      : await client.keep(branch, {duration_ms: durationOf(flags.for), reason: flags.reason ?? null});
  if (flags.json) terminal.out(`${JSON.stringify(changed)}\n`);
  else {
    const name = printable(changed.branch);
    terminal.out(
      changed.keep === null
        ? `${name}: what was changed by hand is put back.\n`
        : `${name}: what is changed by hand stays until ${changed.keep.until}.\n`,
    );
  }
  return exitCodes.ok;
}

function durationOf(text: string): number {
  const duration = durationSchema.safeParse(text);
  if (duration.success) return duration.data;
  throw new AppError('CONFIG_INVALID', `--for ${text} is no duration; write 30m, 8h or 2d.`);
}

/** `branchtab promote`: the patch by which git says what runs, or a pull request with it. */
export async function promote(
  branch: string,
  flags: ConnectionFlags & {pullRequest?: boolean; json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  if (flags.pullRequest) {
    const promoted = await client.promote(branch);
    terminal.out(flags.json ? `${JSON.stringify(promoted)}\n` : pullRequestLine(promoted));
    return exitCodes.ok;
  }
  const promotion = await client.promotion(branch);
  if (flags.json) terminal.out(`${JSON.stringify(promotion)}\n`);
  else if (promotion.files.length === 0)
    terminal.err(`${printable(promotion.branch)} runs what ${promotion.revision.slice(0, 8)} says.\n`);
  else terminal.out(await patchOf(promotion, environment));
  return exitCodes.ok;
}

function pullRequestLine({branch, revision, pull_request: pull}: PromotionPull): string {
  const name = printable(branch);
  if (pull === null) return `${name} runs what ${revision.slice(0, 8)} says; there is nothing to ask for.\n`;
  const what = {opened: 'opened', updated: 'brought up to date', unchanged: 'is open and up to date'};
  return `${name}: pull request #${pull.number} ${what[pull.outcome]}: ${printable(pull.url)}\n`;
}

async function patchOf({files}: Promotion, environment: Environment): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-promote-'));
  try {
    for (const side of ['a', 'b']) await mkdir(join(directory, side));
    for (const {path, before, after} of files) {
      await put(join(directory, 'a'), path, before);
      await put(join(directory, 'b'), path, after);
    }
    const git = createGit({environment: readingEnvironment(environment, {safeDirectory: directory})});
    const {exitCode, stdout, stderr} = await git.run(
      [
        '-C',
        directory,
        '-c',
        'core.quotePath=true',
        'diff',
        '--no-index',
        '--no-prefix',
        ...plainDiff,
        'a',
        'b',
      ],
      {signal: AbortSignal.timeout(gitTimeoutMs)},
    );
    // 1: they differ.
    if (exitCode > 1) throw new AppError('BACKEND_ERROR', `git could not write the patch: ${stderr.trim()}`);
    return new TextDecoder().decode(stdout);
  } finally {
    await rm(directory, {recursive: true, force: true});
  }
}

const gitTimeoutMs = 30_000;
/** Whatever the person's own configuration says, the patch is one that `git apply` takes. */
const plainDiff = ['--binary', '--no-color', '--no-ext-diff', '--no-textconv', '--no-renames'];

async function put(root: string, path: string, content: string | null): Promise<void> {
  if (content === null) return;
  const target = join(root, path);
  if (!target.startsWith(`${root}/`)) throw new AppError('BACKEND_ERROR', `${path} leaves its directory`);
  await mkdir(dirname(target), {recursive: true});
  await writeFile(target, Buffer.from(content, 'base64'));
}
