import {createSerialLock} from '../runtime/platform/serial-lock.ts';
import type {Branch} from '../schemas/branch.ts';
import {inDirectory} from '../schemas/branch-name.ts';
import {parseCrontab, rawText} from '../schemas/crontab.ts';
import {AppError} from '../schemas/errors.ts';
import type {KeepRequest, Promotion, PromotionPull} from '../schemas/hand-change.ts';
import {repositoryFilesDirectory, scriptsDirectory} from '../schemas/script-settings.ts';
import {readBranchFiles} from './branch-files.ts';
import type {BranchRecord} from './branch-record.ts';
import type {ControllerContext} from './controller-context.ts';
import type {BranchFiles, ScriptFile} from './observation.ts';
import {openPromotion} from './promotion.ts';
import type {RuntimeClient} from './runtime-client.ts';

/** What people change in containers behind git's back: left for a while, or turned into files for git. Errors are AppErrors. */
export interface HandChanges {
  /** Raw lines of crontabs and scripts that are changed by hand stay so; then they are put back. */
  keep(keyOrName: string, request: KeepRequest): Promise<Branch>;
  /** Puts them back now. Throws NOTHING_KEPT. */
  endKeep(keyOrName: string): Promise<Branch>;
  /** Throws CONTAINER_UNAVAILABLE where nothing runs. */
  promotion(keyOrName: string): Promise<Promotion>;
  /**
   * The same as a pull request on the forge. Throws PULL_REQUEST_IMPOSSIBLE, SECRET_EXPOSED, and what a forge throws.
   */
  promote(keyOrName: string): Promise<PromotionPull>;
}

const readTimeoutMs = 30_000;
/** A forge may want a pause before each write. */
const proposalTimeoutMs = 5 * 60_000;

export function createHandChanges(context: ControllerContext): HandChanges {
  const {options, table, queue, guard, watches, view, shutdown} = context;
  const {records, clock} = options;
  /** Of two calls for one branch the second finds what the first made. */
  const inTurn = createSerialLock();

  const setKeep = async (record: BranchRecord, keep: BranchRecord['keep']): Promise<Branch> => {
    record.keep = keep;
    await records.save(record);
    queue.add(record.key, {first: true});
    await queue.settled([record.key]);
    return view(record);
  };

  const filesOf = async (
    record: BranchRecord,
    revision: string,
    signal: AbortSignal,
  ): Promise<BranchFiles> => {
    const source = watches.get(record.repository)?.source;
    const tree = (await source?.readHoody(revision, {path: record.path, signal})) ?? null;
    if (source === undefined || tree === null)
      throw new AppError('REVISION_NOT_FOUND', `Commit ${revision.slice(0, 8)} has no .hoody directory`);
    const {checkScript, scriptImports, timeZone} = options;
    const readFile = (file: string) => source.readFile(revision, inDirectory(record.path, file), {signal});
    return readBranchFiles(tree, {checkScript, scriptImports, readFile, timeZone});
  };

  const promotionOf = async (record: BranchRecord): Promise<Promotion> => {
    const {container} = table.observed(record.key);
    const {branch, revision} = record;
    if (container?.state !== 'running' || revision === null)
      throw new AppError(
        'CONTAINER_UNAVAILABLE',
        `The container of ${branch} does not run; see: branchtab status`,
      );
    const signal = AbortSignal.any([shutdown, AbortSignal.timeout(readTimeoutMs)]);
    const files = await filesOf(record, revision, signal);
    const client = options.client(container);
    const crontabs = await changedCrontabs(files, client, signal);
    const changed = [...crontabs, ...(await changedScripts(files, client, signal))];
    // A patch is made from the top of the repository.
    return {
      branch,
      revision,
      files: changed.map((file) => ({...file, path: inDirectory(record.path, file.path)})),
    };
  };

  return {
    async keep(keyOrName, {duration_ms, reason}) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      const nowMs = clock.now();
      const since = new Date(nowMs).toISOString();
      return setKeep(record, {since, until: new Date(nowMs + duration_ms).toISOString(), reason});
    },
    async endKeep(keyOrName) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      if (record.keep === null)
        throw new AppError('NOTHING_KEPT', `Changes by hand in ${record.branch} are not kept`);
      return setKeep(record, null);
    },
    promotion: async (keyOrName) => promotionOf(table.find(keyOrName)),
    async promote(keyOrName) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      return inTurn(async () => {
        const signal = AbortSignal.any([shutdown, AbortSignal.timeout(proposalTimeoutMs)]);
        return openPromotion(record, await promotionOf(record), {context, signal});
      });
    },
  };
}

async function changedCrontabs(
  {crontabs}: BranchFiles,
  client: RuntimeClient,
  signal: AbortSignal,
): Promise<Promotion['files']> {
  const changed: Promotion['files'] = [];
  const state = await client.state({signal});
  const users = new Set([...crontabs.map(({user}) => user), ...Object.keys(state.crontabs)]);
  for (const user of [...users].sort()) {
    const path = user === 'root' ? '.hoody/crontab' : `.hoody/crontab.d/${user}`;
    const before = crontabs.find((crontab) => crontab.user === user)?.text ?? null;
    const {text} = await client.crontab(user, {signal});
    const after = rawText(parseCrontab(text, {file: path, managedAllowed: true}));
    if (after === (before ?? '')) continue;
    changed.push({path, before: base64(before), after: after === '' ? null : base64(after)});
  }
  return changed;
}

async function changedScripts(
  {scripts}: BranchFiles,
  client: RuntimeClient,
  signal: AbortSignal,
): Promise<Promotion['files']> {
  const changed: Promotion['files'] = [];
  const wanted = new Map<string, ScriptFile>(scripts.map((script) => [script.path, script]));
  const present = new Map((await client.deployedScripts({signal})).map(({path, sha256}) => [path, sha256]));
  for (const path of [...new Set([...wanted.keys(), ...present.keys()])].sort()) {
    const before = wanted.get(path);
    if (before?.sha256 === present.get(path)) continue;
    const after = present.has(path) ? await client.readDeployedScript(path, {signal}) : null;
    changed.push({path: repositoryPath(path), before: base64(before?.bytes ?? null), after: base64(after)});
  }
  return changed;
}

function repositoryPath(path: string): string {
  const elsewhere = `${repositoryFilesDirectory}/`;
  return path.startsWith(elsewhere) ? path.slice(elsewhere.length) : `${scriptsDirectory}${path}`;
}

function base64(content: string | Uint8Array | null): string | null {
  return content === null ? null : Buffer.from(content).toString('base64');
}

/** What to know of a branch whose hand-made changes are kept; null where they are not. */
export function keepNotice({branch, keep}: BranchRecord): string | null {
  if (keep === null) return null;
  const why = keep.reason === null ? '' : ` (${keep.reason})`;
  return `What is changed by hand in ${branch} stays until ${keep.until}${why} and is put back then; for git: branchtab promote ${branch}`;
}
